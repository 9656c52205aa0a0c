#!lua flags=allow-oom
-- Count requests and tell how the counters stand: of each the count, and ms until its window ends.
-- KEYS: counters of one client. ARGV[1]: ms of a window; then for each key how many to add, 0 to look only.
-- Counts are neither written down nor replicated: losing them costs a minute of limits, keeping them a disk's write for each read.
redis.set_repl(redis.REPL_NONE)
local told = {}
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
  told[2 * i - 1], told[2 * i] = count, left
end
return told
