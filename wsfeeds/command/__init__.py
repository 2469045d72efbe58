"""The executor of WebSocket V2 command documents: `wsfeeds run`.

::

    spec       the document as typed structs        variables  %{…} @{…} #{…} ${…}
    hooks      chains of commands                   commands   Send, Decode, Close, Json Path …
    program    a document, checked and compiled     executor   attempts, back-off, the end
    life       one connection's hooks and timers    results    what goes out
    variants   what a protocol variant is           route      its HTTP requests and upgrades
    native · signalr · signalr_legacy · socketio    the four of them

A feed's `Session` and this executor share the transport, back-off, settings, stream and outputs.
The supervisor is its own: a connector has symbols, acks and events, a document has hooks.
"""
