"""Systems built on mrpnkit."""
