-- One kind of request, again and again: `create` of a message of so many bytes, or `read` of the message at a path.
function init(args)
  wrk.headers["Accept"] = "application/json"
  if args[1] == "create" then
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"ttl":1,"message":"' .. string.rep("0123456789abcdef", tonumber(args[2]) / 16) .. '"}'  -- gone before Redis is full
  else
    wrk.path = args[2]
  end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"rps":%.1f,"p50":%.3f,"p99":%.3f,"errors":%d}\n', summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
