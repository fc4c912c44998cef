--- The reading side of exchanges: what is done with the blocks that a shuffle brought to one partition, before the stage's operators
--- see their records. Each function takes the exchange's descriptor, the list of blocks and the execution, and returns a list
--- that the reader releases, at the latest with the task.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local block_lists = require "moontide.worker.block_lists"
local failure = require "moontide.worker.failure"
local feeds = require "moontide.worker.feed"
local kinds = require "moontide.worker.kinds"
local sinks = require "moontide.worker.sinks"
local surplus = require "moontide.worker.surplus"
local task_state = require "moontide.worker.task_state"

local ffi, C = fast.ffi, fast.C

local exchanges = {}

local NOMEM, END, NUMBER, FRESH = C.TIDE_MERGE_NOMEM, C.TIDE_MERGE_END, C.TIDE_MERGE_NUMBER, C.TIDE_MERGE_FRESH

-- Merges the pairs of the blocks into state.combine. The kernel merges numbers by itself where it may; Lua sees the values that meet
-- another one.
local function merge_all(op, list, state, m)
    local combine, merge, others = state.combine, op.merge, state.others
    for at = 0, list.count - 1 do
        C.tide_merge_begin(m, list.items[at])
        while true do
            local step = C.tide_merge_next(m)
            if step == END then
                break
            end
            if step == NOMEM then
                failure.no_memory()
            end
            local entry = m.entry
            local value = m.number
            if step ~= NUMBER then
                value = codec.decode(m.value, 0)
            end
            if step == FRESH then
                sinks.keep_other(state, entry, value)
                m.general = 1
            else
                local old = others[entry]
                if old == nil then
                    old = combine.numbers[entry]
                end
                local new, more = merge(old, value)
                if more ~= nil then
                    surplus.second(op, new, more)
                end
                if type(new) == "number" then
                    combine.numbers[entry] = new
                    others[entry] = nil
                elseif new == nil then
                    failure.broken(op, "the function returned nil; it must return the combined value")
                else
                    sinks.keep_other(state, entry, new)
                    m.general = 1
                end
            end
        end
    end
end

failure.frame(merge_all, function(locals)
    if locals.old == nil then
        return locals.op
    end
    return locals.op, ("key %s, values %s and %s"):format(failure.preview((codec.decode(locals.m.key, 0))),
        failure.preview(locals.old), failure.preview(locals.value))
end)

--- Merges what the map side has combined already: one value for each key.
function exchanges.merge(op, list, execution)
    local out = block_lists.temporary(execution.cleanup)
    local state = task_state.new(execution, out)
    sinks.new_table(state)
    local m = ffi.new "struct tide_merge"
    m.combine = state.combine
    m.add = op.adds and 1 or 0
    merge_all(op, list, state, m)
    sinks.write_table(state, op)
    return out
end

-- Combines pairs as they came: a loop whose sink writes a temporary list.
local function combine(op, list, execution)
    local out = block_lists.temporary(execution.cleanup)
    local feed = op.combine_feed
    if feed == nil then
        feed = feeds.new(nil, {}, kinds.need("sink", "combine")(op))
        op.combine_feed = feed
    end
    local state = task_state.new(execution, out)
    feed.terminal:begin(state)
    for at = 0, list.count - 1 do feed:run_block(state, list.items[at]) end
    feed.terminal:finish(state)
    return out
end

kinds.register("exchange", "concat", false)
kinds.register("exchange", "merge", exchanges.merge)
kinds.register("exchange", "combine", combine)

kinds.register("exchange", "group", function(_, list, execution)
    local out = block_lists.temporary(execution.cleanup)
    if not C.tide_group_blocks(list, out) then
        failure.no_memory()
    end
    return out
end)

kinds.register("exchange", "sort", function(op, list, execution)
    local out = block_lists.temporary(execution.cleanup)
    if not C.tide_sort_by_key(list, op.ascending ~= false, out) then
        failure.no_memory()
    end
    return out
end)

return exchanges
