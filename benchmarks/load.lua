-- The load: reads of random messages from a file of paths, or creates of 1 KiB; prints its figures as one line of JSON.
local paths, count = {}, 0

function init(args)
  if args[1] then
    for line in io.lines(args[1]) do count = count + 1; paths[count] = line end
    math.randomseed(os.time() + tonumber(tostring({}):match("0x(%x+)"), 16) % 100000)
  else
    wrk.method = "POST"
    wrk.headers["Content-Type"] = "application/json"
    wrk.body = '{"message":"' .. string.rep("0123456789abcdef", 64) .. '"}'
  end
  wrk.headers["Accept"] = "application/json"
end

function request()
  if count == 0 then return wrk.format() end
  return wrk.format("GET", paths[math.random(count)])
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50":%.3f,"p99":%.3f,"errors":%d}\n', summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, e.connect + e.read + e.write + e.status + e.timeout))
end
