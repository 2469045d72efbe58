"""One supervised connection after another: connect, subscribe, keep alive, reconnect."""
