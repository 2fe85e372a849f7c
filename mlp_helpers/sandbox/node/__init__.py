"""The node: a kubelet that runs the containers of pods as processes of this machine."""
