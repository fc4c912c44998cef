--- mapPartitions, mapPartitionsWithIndex, foreachPartition: a function of the script takes the records of a partition from an iterator.
local coroutines = require "moontide.worker.coroutines"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"
local randomness = require "moontide.worker.randomness"
local terminals = require "moontide.worker.terminals"

local pull = {}

local handler, settle

--- Sets what turns an error of the records' side into the message of the task (worker/init.lua).
---@param message_handler fun(err: any): any for xpcall
---@param settle_error fun(err: any): any of what xpcall returned
function pull.install(message_handler, settle_error) handler, settle = message_handler, settle_error end

-- The terminal that hands records to a function as an iterator. The records before it are produced in a coroutine, in runs, so
--- that both sides stay loops. The first run is of one record, and then they grow, within bounds of records and bytes: nothing
--- is computed long before it is asked for.
local Pull = terminals.class {}

local MOST_RECORDS, MOST_TABLES = 512, 256
local MOST_BYTES = 512 * 1024
local LOOKED_AT = 64

function Pull.constants(_, K, feed)
    K.yield = coroutines.yield
    terminals.use_arity(K, feed)
end

function Pull:record(g, kind, a, b)
    g:uses("yield", "type")
    terminals.check_arity(g, self.op, kind, a, b)
    g:line(self.op, "local n = S.count + 1 S.count = n")
    g:line(self.op, kind == 2 and "S.values[n], S.seconds[n] = $a, $b" or "S.values[n] = $a", { a = a, b = b })
    for _, value in ipairs(kind == 2 and { a, b } or { a }) do
        local names = { value = value, most = MOST_BYTES }
        g:line(nil, 'if type($value) == "string" then S.bytes = S.bytes + #$value if S.bytes >= $most then S.most = n end', names)
        g:line(nil, 'elseif type($value) == "table" and not S.has_tables then S.has_tables, S.most = true, n end', names)
    end
    g:line(nil, "if n >= S.most then yield() S.count, S.bytes = 0, 0 end")
end

-- A function that makes records may return the same table again, refilled. So as long as it is not known that the tables are
-- new ones each time, a run is one record.
local Runs = {}
Runs.__index = Runs
local WEAK = { __mode = "k" }

local function new_runs() return setmetatable({ seen = setmetatable({}, WEAK), count = 0, reused = false }, Runs) end

function Runs:look(value)
    if type(value) ~= "table" then
        return
    end
    if self.seen[value] then
        self.reused = true
    end
    self.seen[value] = true
end

-- How long the run after one of n records may be. Whether it was of large tables, the collector's count tells.
function Runs:after(state, n)
    if not state.has_tables then
        return math.min(state.most * 2, MOST_RECORDS)
    end
    if self.count < LOOKED_AT and not self.reused then
        self.count, self.bytes = self.count + 1, collectgarbage "count" * 1024
        self:look(state.values[n])
        if state.arity == 2 then
            self:look(state.seconds[n])
        end
        if self.count == LOOKED_AT then
            self.seen = nil
        end
        return 1
    end
    if self.reused then
        return 1
    end
    local bytes = collectgarbage "count" * 1024
    local each = (bytes - (self.bytes or bytes)) / n
    self.bytes = bytes
    if each < 0 then -- garbage was collected meanwhile
        return state.most
    end
    return math.max(1, math.min(state.most * 2, MOST_TABLES, math.floor(MOST_BYTES / (each + 1))))
end

--- Runs a pipe that ends in such a terminal, and gives what the function makes of its records to a feed of the next pipe.
---@param pipe moontide.worker.Pipe
---@param feed moontide.worker.Feed
---@param outer moontide.worker.State of the next pipe
---@param state moontide.worker.State of this one
---@return boolean stop the sink wants no more
function pull.run(pipe, feed, outer, state)
    local op, execution = pipe.terminal.op, state.execution
    -- The partition's number where the operator stands; under a union it is not the task's (host/rdd/stage.c).
    local cursor = execution.cursor
    local index = op.shift and (op.of_task and execution.partition or execution.inputs[cursor].partition) + op.shift or 0
    local after = cursor + pipe.inputs
    local values, seconds, runs = {}, {}, new_runs()
    state.values, state.seconds, state.count, state.bytes, state.most, state.has_tables = values, seconds, 0, 0, 1, false
    local slot = op.place and randomness.slot(op.place, index) or 0
    local failed
    local producer = coroutines.create(function()
        local ok, err = xpcall(function() pipe:consume(state) end, handler)
        if not ok then
            failed = settle(err)
        end
    end)
    local at, n, is_pair, ended = 0, 0, false, false
    -- What fails is told when its record is asked for: those before it come first.
    local function refill()
        if n > 0 then
            state.most = runs:after(state, n)
        end
        at, n = 0, 0
        if failed ~= nil then
            error(failed, 0)
        end
        if ended or coroutine.status(producer) == "dead" then
            return false
        end
        local ok, why = coroutine.resume(producer)
        randomness.use.slot = slot
        if not ok then
            error(why, 0)
        end
        n, is_pair = state.count, state.arity == 2
        if coroutine.status(producer) == "dead" then
            state.count = 0
        end
        if n == 0 and failed ~= nil then
            error(failed, 0)
        end
        return n > 0
    end
    local function iterate()
        if at >= n and not refill() then
            return nil
        end
        at = at + 1
        if is_pair then
            return values[at], seconds[at]
        end
        return values[at]
    end
    local stop = false
    randomness.use.slot, outer.iterator_slot = slot, slot
    if op.kind == "foreachPartition" then
        op.fn(iterate)
    elseif op.kind == "mapPartitionsWithIndex" then
        stop = feed:drain(outer, op, op.fn(index, iterate))
    else
        stop = feed:drain(outer, op, op.fn(iterate))
    end
    -- The function may have left records unread: their inputs are passed over, and the iterator is at its end from now on.
    execution.cursor = after
    at, n, ended = 0, 0, true
    return stop
end

failure.frame(pull.run, function(locals) return locals.op end)

for _, kind in ipairs { "mapPartitions", "mapPartitionsWithIndex", "foreachPartition" } do
    kinds.register("partition", kind, terminals.maker(Pull, { pull = true }))
end

return pull
