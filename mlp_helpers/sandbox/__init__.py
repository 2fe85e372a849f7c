"""The local world: the services that the helpers talk to, on this machine, in one background process."""
