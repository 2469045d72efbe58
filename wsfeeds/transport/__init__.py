"""How bytes come in: one seam (`base`), and what implements it."""
