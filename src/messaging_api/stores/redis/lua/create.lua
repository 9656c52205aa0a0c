#!lua
-- Store all entries, or none. KEYS: message, receipt and optionally idempotency record.
-- ARGV: value and lifetime in ms of each, in turn.
-- An existing idempotency record is returned and written again, so that a WAIT after this script waits for it as well.
-- Without allow-oom Redis rejects the whole script when it is full, so nothing is written in part.
if KEYS[3] then
  local earlier = redis.call('GET', KEYS[3])
  if earlier then
    redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[3]))
    return earlier
  end
end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, ARGV[2 * i - 1], 'PX', ARGV[2 * i])
end
return false
