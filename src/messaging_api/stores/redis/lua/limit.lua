#!lua flags=allow-oom
-- Count requests and return, for each counter, its count and the ms until its window ends.
-- KEYS: counters of one client. ARGV[1]: ms of a window; then for each key the number to add, 0 to look only.
-- Counts are neither persisted nor replicated: to lose them costs one minute of limits, to persist them one disk write
-- for each read.
redis.set_repl(redis.REPL_NONE)
local counts = {}
for i, key in ipairs(KEYS) do
  local count
  if ARGV[i + 1] == '0' then
    count = tonumber(redis.call('GET', key) or 0)
  else
    count = redis.call('INCRBY', key, ARGV[i + 1])
  end
  local left = count > 0 and redis.call('PTTL', key) or 0
  if left == -1 then
    left = tonumber(ARGV[1])
    redis.call('PEXPIRE', key, left)
  end
  counts[2 * i - 1], counts[2 * i] = count, left
end
return counts
