"""The scripts that the engine runs for a node: all that is done to what the nodes share (docs/cluster.md).

Every script is given the eight keys of the cluster, then the arguments that `HEAD` takes, then its own. Its answer is
one text: a word, and what belongs to it, separated by spaces. A script is its own version: nothing is installed in the
engine.
"""

from __future__ import annotations

NAMES = ("seats", "rows", "order", "gone", "hosts", "nodes", "generations", "state")
"""The last parts of the keys, in the order in which scripts take them.

seats        sorted set, all scores 0: NODE/NUMBER for each seat that is taken
rows         hash: NUMBER -> NODE HOST ADDRESS CONNECTED DISCONNECTED FILES BYTES, times in seconds since 1970
order        sorted set: NUMBER by NUMBER
gone         list: the numbers of those that left, in that order
hosts        hash: HOST -> seats taken, without zeros
nodes        sorted set: NODE -> end of its lease, in milliseconds since 1970
generations  hash: NODE -> how often it has joined
state        hash: `next`, the last number given; `life`, the engine's run that wrote last, and `last`, when that was;
             `opens`, from when on clients are let in
"""


def keys(cluster: str) -> list[str]:
    """Return the keys of `cluster`: one hash tag, so that they are all on one shard."""
    return [f"chatfile:{{{cluster}}}:{name}" for name in NAMES]


HEAD = """
local seats, rows, order, gone, hosts, nodes, generations, state = unpack(KEYS)
local node, generation, life, lease, history = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function say(...) return redis.status_reply(table.concat({...}, ' ')) end

local function raise(number)
    if tonumber(number) > tonumber(redis.call('HGET', state, 'next') or 0) then
        redis.call('HSET', state, 'next', number)
    end
end

local function forget_earliest()
    while redis.call('LLEN', gone) > history do
        local number = redis.call('LPOP', gone)
        redis.call('HDEL', rows, number)
        redis.call('ZREM', order, number)
    end
end

local function free(member, files, bytes)
    if redis.call('ZREM', seats, member) == 0 then return end
    local owner, number = member:match('^(.-)/(.*)$')
    local row = redis.call('HGET', rows, number) or ''
    local its, host, address, connected, _, sent, size = row:match('^(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
    if its ~= owner then return end
    local left = string.format('%.0f', math.max(math.floor(now / 1000), tonumber(connected)))
    local fields = {its, host, address, connected, left, files or sent, bytes or size}
    redis.call('HSET', rows, number, table.concat(fields, ' '))
    if redis.call('HINCRBY', hosts, host, -1) <= 0 then redis.call('HDEL', hosts, host) end
    redis.call('RPUSH', gone, number)
    forget_earliest()
end

local function take(number, host, address, connected, files, bytes)
    if redis.call('ZADD', seats, 0, node .. '/' .. number) == 0 then return end
    local row = redis.call('HGET', rows, number)
    if row then
        if row:match('^%S+') ~= node then return end
        redis.call('LREM', gone, -1, number)
    end
    redis.call('HSET', rows, number, table.concat({node, host, address, connected, '-', files, bytes}, ' '))
    redis.call('ZADD', order, number, number)
    redis.call('HINCRBY', hosts, host, 1)
end

local function seats_of(owner, most)
    return redis.call('ZRANGE', seats, '[' .. owner .. '/', '(' .. owner .. '0', 'BYLEX', 'LIMIT', 0, most)
end

local function free_seats_of(owner, most)
    local members = seats_of(owner, most)
    for _, member in ipairs(members) do free(member) end
    return #members
end

local known = redis.call('HMGET', state, 'life', 'last', 'opens')
local opens = tonumber(known[3] or 0)
local idle = known[2] and now - known[2]
if known[1] ~= life or not idle or idle > lease / 2 or idle < 0 then
    opens = now + math.floor(lease / 2)
    redis.call('HSET', state, 'life', life, 'opens', string.format('%.0f', opens))
    for _, each in ipairs(redis.call('ZRANGE', nodes, 0, -1)) do
        redis.call('ZADD', nodes, string.format('%.0f', now + lease), each)
    end
end
redis.call('HSET', state, 'last', string.format('%.0f', now))

local budget = 100
for _, dead in ipairs(redis.call('ZRANGE', nodes, '-inf', '(' .. string.format('%.0f', now), 'BYSCORE')) do
    redis.call('HDEL', generations, dead)
    budget = budget - free_seats_of(dead, budget)
    if budget <= 0 then break end
    redis.call('ZREM', nodes, dead)
end

local function renew() redis.call('ZADD', nodes, string.format('%.0f', now + lease), node) end
"""
"""Begins every script but `PAGE`: the engine's time, a new life of it, the nodes that were not heard of for a lease.

A new life is one whose run is not the one that wrote last, or one that has stood still or whose clock was set back:
nobody called for half a lease, though nodes call each third of one, or the last call is still to come. Then nobody is
let in for half a lease, in which the nodes tell who is inside, and each node that is known has a whole lease. Of a dead
node at most 100 seats are freed in a call, so that no call takes long.
"""

_FENCE = """
if redis.call('HGET', generations, node) ~= generation then return say('stale') end
"""
"""Makes void what was sent on a connection before the latest on which the node has joined, however late it comes."""

JOIN = (
    HEAD
    + """
if tonumber(redis.call('HGET', generations, node) or 0) >= tonumber(generation) then return say('stale') end
redis.call('HSET', generations, node, generation)
renew()
raise(ARGV[6])
local held = {}
for place = 7, #ARGV do held[node .. '/' .. ARGV[place]] = ARGV[place] end
for _, member in ipairs(seats_of(node, -1)) do
    if held[member] then held[member] = nil else free(member) end
end
local missing = {'joined'}
for _, number in pairs(held) do table.insert(missing, number) end
return table.concat(missing, ' ')
"""
)
"""`JOIN seen number...` is what a node says first on a connection: `seen` is the highest number that it knows of, and
the numbers are those of its clients.

Frees the node's other seats: admissions whose answer was lost, and releases that were lost. Answers `joined number...`,
with the clients that it does not know of, or `stale` after a later join.
"""

RESTORE = (
    HEAD
    + _FENCE
    + """
renew()
for place = 6, #ARGV, 6 do
    raise(ARGV[place])
    take(unpack(ARGV, place, place + 5))
end
return say('restored')
"""
)
"""`RESTORE (number host address connected files bytes)...` takes seats again, whatever the limit: they are inside.

It renews the lease: where there are many, no beat is sent until all of them are told.
"""

BEAT = (
    HEAD
    + _FENCE
    + """
renew()
raise(ARGV[6])
for place = 9, #ARGV, 3 do
    local number = ARGV[place]
    local row = redis.call('HGET', rows, number)
    if row and row:match('^%S+') == node then
        local kept = row:match('^(%S+ %S+ %S+ %S+ %S+) ')
        redis.call('HSET', rows, number, kept .. ' ' .. ARGV[place + 1] .. ' ' .. ARGV[place + 2])
    end
end
local mine, held = redis.call('ZLEXCOUNT', seats, '[' .. node .. '/', '(' .. node .. '0'), tonumber(ARGV[7])
if mine < held or mine > held + tonumber(ARGV[8]) then return say('join') end
return say('next', redis.call('HGET', state, 'next') or 0)
"""
)
"""`BEAT seen held asking (number files bytes)...` renews the lease, and stores counts that have changed.

Answers `next number`, the last number given, or `join` where something was lost: the node has fewer seats here than the
`held` that it knows of, or more than these and the `asking` admissions whose answers are on their way.
"""

ADMIT = (
    HEAD
    + _FENCE
    + """
if now < opens then return say('wait') end
if redis.call('ZCARD', seats) >= tonumber(ARGV[6]) then return say('full') end
local most = tonumber(ARGV[7])
if most > 0 and tonumber(redis.call('HGET', hosts, ARGV[8]) or 0) >= most then return say('address') end
local number = redis.call('HINCRBY', state, 'next', 1)
take(number, ARGV[8], ARGV[9], time[1], 0, 0)
return say('seat', number, time[1])
"""
)
"""`ADMIT limit per-host host address` answers `seat number connected`, or `full`, or `address` where it is full for the
host, or `wait` where the nodes have not told yet who is inside."""

RELEASE = (
    HEAD
    + _FENCE
    + """
for place = 6, #ARGV, 3 do free(node .. '/' .. ARGV[place], ARGV[place + 1], ARGV[place + 2]) end
return say('released')
"""
)
"""`RELEASE (number files bytes)...` frees seats; one that is free already is no error."""

LEAVE = (
    HEAD
    + _FENCE
    + """
renew()
if free_seats_of(node, 100) > 0 then return say('more') end
redis.call('ZREM', nodes, node)
redis.call('HDEL', generations, node)
return say('left')
"""
)
"""`LEAVE` frees 100 seats of a node that ends, and answers `more`, until there are none: then it answers `left`."""

PAGE = """
local numbers = redis.call('ZRANGE', KEYS[3], '(' .. ARGV[1], '-inf', 'BYSCORE', 'REV', 'LIMIT', 0, ARGV[2])
if #numbers == 0 then return '' end
local found = redis.call('HMGET', KEYS[2], unpack(numbers))
local lines = {}
for place, number in ipairs(numbers) do
    if found[place] then table.insert(lines, number .. ' ' .. found[place]) end
end
return table.concat(lines, '\\n')
"""
"""`PAGE before count` answers with the rows of the `count` numbers before one, each in a line behind its number."""
