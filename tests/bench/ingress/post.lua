-- One MiB up, with Content-Length.
wrk.method = "POST"
wrk.body = string.rep("x", 1048576)
