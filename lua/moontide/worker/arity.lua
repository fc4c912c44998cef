--- The arity of records in a task: single values (1) or pairs (2). A dataset has one arity. For operators whose functions decide it
--- (their descriptors have arity = 0), the driver sends what it knows with each task (host/rdd/arity.h). If it does not know yet,
--- the first record of the task decides, and the task's result reports that.
---
--- What is known lies in the execution (task_state.lua): `arities`, `seen` and `stamp`.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local arity = {}

local KINDS = { "single values", "pairs" }
local last_stamp = 0

local function new_stamp()
    last_stamp = last_stamp + 1
    return last_stamp
end

--- Begins a task.
---@param execution table
---@param ops table[] the stage's operators that have a slot, in order
function arity.begin(execution, ops)
    local task = execution.task
    execution.arities, execution.seen, execution.stamp = {}, {}, new_stamp()
    if tonumber(task.nslots) ~= #ops then
        error(("moontide: the plan has %d operators to be learned, the task %d"):format(#ops, tonumber(task.nslots)), 0)
    end
    for at, op in ipairs(ops) do
        local known = task.slots[at - 1].known
        if known ~= 0 then
            execution.arities[op] = known
        end
    end
end

-- A record that the operator's kind is known by, as text, or nil.
local function seen_of(execution, op)
    local first = execution.seen[op] == nil and op.slot and execution.task.slots[op.slot].first
    if first and first ~= nil then
        return ffi.string(first)
    end
    return execution.seen[op]
end

local function record_text(value, a, b) return (value == 2 and "the pair " or "the single value ") .. failure.preview(a, b) end

--- Raises that the function of `op` returned a record of the other kind.
---@param execution table
---@param op table
---@param expected 1|2 what its records are
---@param a any the record
---@param b any
function arity.mixed(execution, op, expected, a, b)
    local seen = seen_of(execution, op)
    failure.broken(op, ("the function returned %s after %s%s; a stream or dataset is of one kind: return pairs always or never (a "
        .. "pair is two returned values, and its value can't be nil; a call that returns two values, such as s:gsub(…), makes one "
        .. "unless it stands in parentheses)"):format(record_text(3 - expected, a, b), KINDS[expected],
            seen and ", such as " .. seen or ""))
end

--- What the operator's records are, or nil when that is not known yet.
function arity.of(execution, op) return execution.arities[op] end

--- Record (a, b), of kind `value`, comes from the function of `op`. Raises when its records are known to be of the other kind.
---@return 1|2 value
function arity.learn(execution, op, value, a, b)
    local known = execution.arities[op]
    if known == value then
        return value
    end
    if known ~= nil then
        arity.mixed(execution, op, known, a, b)
    end
    local text = failure.preview(a, b)
    execution.arities[op], execution.seen[op], execution.stamp = value, text, new_stamp()
    if op.slot then
        C.tide_task_learn(execution.task, op.slot, value, text, #text)
    end
    return value
end

-- Where records meet -----------------------------------------------------------------------------------------------

--- The operator that decides the arity of the records at the end of a chain; nil: an input of the task does.
local function maker_of(feed)
    for at = #feed.ops, 1, -1 do
        if feed.ops[at].arity then
            return feed.ops[at]
        end
    end
    local source = feed.source or {}
    return source.op or source.pipe and source.pipe.terminal.op or source.read
end

local function side(maker, value, text)
    local name = maker and (maker.name or maker.kind) .. (maker.site and " (" .. maker.site .. ")" or "") or "an input"
    return name .. " makes " .. KINDS[value] .. (text and ", such as " .. text or "")
end

--- Record (a, b), of kind `value`, reaches the terminal of `feed`, and state.arity is another one: sets it, or raises when records of the
--- other kind were there before.
---@param state moontide.worker.State
---@param value 1|2
---@param feed table
---@param a any
---@param b any
function arity.reach(state, value, feed, a, b)
    local maker, text = maker_of(feed), failure.preview(a, b)
    if state.arity == nil then
        state.arity, state.maker, state.first_record = value, maker, text
        return
    end
    local op = feed.terminal.op
    failure.complete(("%spairs and single values meet in one dataset: %s; %s; a dataset is of one kind: make pairs of both, or of "
        .. "neither, with map before"):format(op and op.name and op.name .. (op.site and " (" .. op.site .. ")" or "") .. ": " or "",
            side(state.maker, state.arity, state.first_record), side(maker, value, text)), failure.EMIXED)
end

--- The same for a whole block.
function arity.reach_block(state, value, feed, block)
    if block.kind == C.TIDE_BLOCK_TEXT then
        return arity.reach(state, value, feed, ffi.string(block.data + block.lines[0].offset, block.lines[0].length))
    end
    local a, at = codec.decode(block.data, 0)
    arity.reach(state, value, feed, a, value == 2 and codec.decode(block.data, at) or nil)
end

return arity
