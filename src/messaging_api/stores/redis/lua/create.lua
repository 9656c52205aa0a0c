#!lua
-- Keep all entries, or none. KEYS: message, receipt and perhaps answer. ARGV: value and life in ms of each, in turn.
-- An answer that is given is written once more as it is, so that a WAIT after this waits for it as well.
-- Without allow-oom Redis refuses the whole script when it is full, so nothing is half written.
if KEYS[3] then
  local known = redis.call('GET', KEYS[3])
  if known then
    redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[3]))
    return known
  end
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i])
end
return false
