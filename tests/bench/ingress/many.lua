-- Each request another of N Ingresses (the argument), in scattered order.
local n = 10
local i = 0
function init(args)
  n = tonumber(args[1])
end
function request()
  i = (i + 7919) % n
  return "GET /p" .. i .. "/x HTTP/1.1\r\nHost: h" .. (i % 1000) .. ".test\r\n\r\n"
end
