"""Atomic state transitions, as Lua run by Redis, on Redis' own clock: workers' clocks never meet.

Keys: 1 the job's hash, 2 the set of unfinished jobs, 3 the job's event stream. Every script that changes a claimed job
checks the fencing number first and returns 0 when the lease has passed to somebody else.
"""

from __future__ import annotations

_NOW = """
local t = redis.call('TIME'); local now = tonumber(t[1]) + tonumber(t[2]) / 1e6
local function event(kind, data)
  local n = redis.call('HINCRBY', KEYS[1], 'events', 1)
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', 20000, n .. '-0', 'time', now, 'type', kind, 'data', data)
end
local function state(name) redis.call('HSET', KEYS[1], 'state', name); event('state', cjson.encode({state=name})) end
local function get(f) return redis.call('HGET', KEYS[1], f) end
-- One more death. Those before it are forgotten where the job has come further since the last one: it loops no crash.
local function lapse()
  local progress = tonumber(get('progress') or 0) or 0
  if progress > tonumber(get('lapsed_at') or 0) then redis.call('HSET', KEYS[1], 'lapses', 0) end
  redis.call('HSET', KEYS[1], 'lapsed_at', progress)
  return redis.call('HINCRBY', KEYS[1], 'lapses', 1)
end
-- For scripts whose ARGV[1] is a fencing number and ARGV[2] a token: whether to go on. A token that was the last one heard
-- is a repetition after a lost answer, and has been dealt with.
local function verdict()
  if get('fence') ~= ARGV[1] or get('state') ~= 'running' then return 0 end
  if ARGV[2] ~= '' and get('heard') == ARGV[2] then return 1 end
  if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'heard', ARGV[2]) end
  return nil
end
"""

# KEYS[4] the idempotency key, KEYS[5] the set of all jobs. ARGV: id, kind, spec, digest, key, request id,
# traceparent, schema version, submitter, 1 if that is an operator
SUBMIT = (
    _NOW
    + """
if redis.call('EXISTS', KEYS[1]) == 1 then return {ARGV[1], 1} end -- a repetition after a lost answer
if ARGV[5] ~= '' then
  local known = redis.call('HMGET', KEYS[4], 'id', 'digest')
  if known[1] then return {known[1], known[2] == ARGV[4] and 0 or -1} end
  redis.call('HSET', KEYS[4], 'id', ARGV[1], 'digest', ARGV[4])
end
redis.call('HSET', KEYS[1], 'id', ARGV[1], 'kind', ARGV[2], 'spec', ARGV[3], 'idempotency_key', ARGV[5],
  'request_id', ARGV[6], 'traceparent', ARGV[7], 'schema_version', ARGV[8],
  'submitter', ARGV[9], 'privileged', ARGV[10],
  'created_at', now, 'attempt', 0, 'fence', 0, 'lapses', 0, 'published_at', now)
redis.call('ZADD', KEYS[2], now, ARGV[1]); redis.call('ZADD', KEYS[5], now, ARGV[1])
state('queued')
return {ARGV[1], 1}
"""
)

# ARGV: owner, lease seconds, a token of this very claim. Returns the fencing number, or 0 if the job is not queued: of a
# lapsed lease the reaper judges.
CLAIM = (
    _NOW
    + """
if ARGV[3] ~= '' and get('claim') == ARGV[3] then return tonumber(get('fence')) end -- a repetition after a lost answer
if get('state') ~= 'queued' then return 0 end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HINCRBY', KEYS[1], 'attempt', 1)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'claim', ARGV[3], 'lease_until', now + tonumber(ARGV[2]), 'started_at', now)
state('running')
return fence
"""
)

# ARGV: fence, lease seconds. Returns 0 lost, 1 go on, 2 cancel was requested.
RENEW = (
    _NOW
    + """
if get('fence') ~= ARGV[1] or get('state') ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'lease_until', now + tonumber(ARGV[2]))
return get('cancel_requested') == '1' and 2 or 1
"""
)

# ARGV: fence, state, error, result, job id
FINISH = (
    _NOW
    + """
if get('fence') ~= ARGV[1] or get('state') ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'finished_at', now, 'error', ARGV[3], 'result', ARGV[4])
redis.call('HDEL', KEYS[1], 'lease_until', 'owner')
if ARGV[2] == 'succeeded' then redis.call('HSET', KEYS[1], 'progress', 1) end
redis.call('ZREM', KEYS[2], ARGV[5])
state(ARGV[2])
return 1
"""
)

# Give a claimed job back, to be taken by anybody. ARGV: fence, job id, 1 if its processes died under it, most deaths, what
# is said if that was one too many. Returns 0 lost, 1 queued, 2 given up.
RELEASE = (
    _NOW
    + """
if get('fence') ~= ARGV[1] or get('state') ~= 'running' then return 0 end
redis.call('HDEL', KEYS[1], 'lease_until', 'owner')
if ARGV[3] == '1' and lapse() >= tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[1], 'finished_at', now, 'error', ARGV[5])
  redis.call('ZREM', KEYS[2], ARGV[2]); state('failed'); return 2
end
redis.call('HSET', KEYS[1], 'published_at', now)
state('queued')
return 1
"""
)

# Queue a job again that failed or was cancelled, with a new budget of deaths. ARGV: job id. Returns 0 if it is neither.
RESUME = (
    _NOW
    + """
local s = get('state')
if s ~= 'failed' and s ~= 'cancelled' then return 0 end
redis.call('HDEL', KEYS[1], 'finished_at', 'error', 'result', 'cancel_requested', 'lease_until', 'owner')
redis.call('HSET', KEYS[1], 'lapses', 0, 'published_at', now)
redis.call('ZADD', KEYS[2], now, ARGV[1])
state('queued')
return 1
"""
)

# Of a running job: its fencing number and the milliseconds that its lease still has; 0 of another.
LEFT = (
    _NOW
    + """
if get('state') ~= 'running' then return {0, 0} end
return {tonumber(get('fence')), math.floor((tonumber(get('lease_until') or 0) - now) * 1000)}
"""
)

# A lapsed lease: queue the job again, or give up after too many. ARGV: most lapses, job id, fencing number of the lease.
# Returns 1 requeued, 2 given up.
REAP = (
    _NOW
    + """
if get('state') ~= 'running' or get('fence') ~= ARGV[3] or tonumber(get('lease_until') or 0) >= now then return 0 end
local lapses = lapse()
redis.call('HDEL', KEYS[1], 'lease_until', 'owner')
redis.call('HINCRBY', KEYS[1], 'fence', 1)
if get('cancel_requested') == '1' then
  redis.call('HSET', KEYS[1], 'finished_at', now)
  redis.call('ZREM', KEYS[2], ARGV[2]); state('cancelled'); return 2
end
if lapses >= tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'finished_at', now, 'error', 'its worker died ' .. lapses .. ' times')
  redis.call('ZREM', KEYS[2], ARGV[2]); state('failed'); return 2
end
redis.call('HSET', KEYS[1], 'published_at', now)
state('queued')
return 1
"""
)

# ARGV: job id. Returns 0 already final, 1 cancelled at once (it was queued), 2 its worker will stop it.
CANCEL = (
    _NOW
    + """
local s = get('state')
if s == 'queued' then
  redis.call('HSET', KEYS[1], 'finished_at', now, 'cancel_requested', 1)
  redis.call('ZREM', KEYS[2], ARGV[1]); state('cancelled'); return 1
end
if s ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'cancel_requested', 1)
return 2
"""
)

# ARGV: fence, token, event type, data, then field/value pairs to set. Returns 0 when the lease is lost.
RECORD = (
    _NOW
    + """
local said = verdict()
if said then return said end
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
event(ARGV[3], ARGV[4])
return 1
"""
)

# KEYS[4] the artefact hash. ARGV: fence, token, name, artefact JSON
COMMIT = (
    _NOW
    + """
local said = verdict()
if said then return said end
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4])
event('artifact', ARGV[4])
return 1
"""
)

# KEYS from 4 on: hashes of counters. ARGV: fence, token, then a field and an amount for each of them.
COUNT = (
    _NOW
    + """
local said = verdict()
if said then return said end
for i = 4, #KEYS do redis.call('HINCRBYFLOAT', KEYS[i], ARGV[2 * i - 5], ARGV[2 * i - 4]) end
return 1
"""
)

# ARGV: seconds since the last publication. Returns 1 if the job is queued and due to be published again.
REPUBLISH = (
    _NOW
    + """
if get('state') ~= 'queued' or now - tonumber(get('published_at') or 0) < tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'published_at', now)
return 1
"""
)

# A job that ended before a time: forget all but that its files have to go. KEYS[4] its artefacts, KEYS[5] the set of all
# jobs, KEYS[6] the set of jobs whose files have to go, KEYS[7] its idempotency key. ARGV: job id, time. Returns 1 if done.
FORGET = """
local function get(f) return redis.call('HGET', KEYS[1], f) end
local s = get('state')
if s ~= 'succeeded' and s ~= 'failed' and s ~= 'cancelled' then return 0 end
if tonumber(get('finished_at') or get('created_at')) >= tonumber(ARGV[2]) then return 0 end
redis.call('SADD', KEYS[6], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
if redis.call('HGET', KEYS[7], 'id') == ARGV[1] then redis.call('DEL', KEYS[7]) end
redis.call('DEL', KEYS[1], KEYS[3], KEYS[4])
return 1
"""
