"""The same job done the usual way, written as fairly as we can, to be measured beside ours."""
