--- The inputs of operators that read several (zip nodes of a plan): each is computed to a list of packed blocks. An input that comes
--- again in the plan is computed once for the same inputs of the task.
local fast = require "moontide.wire.ffi"
local block_lists = require "moontide.worker.block_lists"
local kinds = require "moontide.worker.kinds"
local task_state = require "moontide.worker.task_state"

local ffi, C = fast.ffi, fast.C

local inputs = {}

-- The records of one input, as packed blocks. Blocks that nothing changes are not copied.
local function collect(child, execution)
    local list = block_lists.new()
    local state = task_state.new(execution, list)
    child.terminal:begin(state)
    child:consume(state)
    child.terminal:finish(state)
    return list
end

-- Releases lists that were read. The collector does not know how much is in them.
local function release(lists)
    for _, list in ipairs(lists) do C.tide_blocks_destroy(list) end
end

local function collect_shared(child, execution)
    execution.collected = execution.collected or {}
    local known = execution.collected[child]
    if known == nil then
        known = {}
        execution.collected[child] = known
    end
    local from = execution.cursor
    if known[from] == nil then
        known[from] = { list = collect(child, execution), after = execution.cursor }
    end
    execution.cursor = known[from].after
    return known[from].list
end

local function collect_child(child, execution)
    if child.same then
        local cursor = execution.cursor
        execution.cursor = cursor - child.inputs_back
        local list = collect_shared(child.same, execution)
        execution.cursor = cursor
        return list
    end
    if child.shared then
        return collect_shared(child, execution)
    end
    return collect(child, execution)
end

--- The source of a feed whose records an operator makes of several inputs. Raises when the operator's kind is unknown.
---@param op table
---@param children table[] pipes, or { same = pipe, inputs_back = integer, inputs = 0 }
---@return table source
function inputs.source(op, children)
    local source = { op = op, children = children, iterate = kinds.find("iterator", op.kind) }
    if not source.iterate then
        local exchange = kinds.find("exchange", op.kind) -- works on any single list
        source.read = exchange and function(_, lists, execution) return exchange(op, lists[1], execution) end
            or kinds.need("inputs", op.kind)
    end
    return source
end

--- Computes the inputs one after the other, in the order of the plan, and feeds on what the operator makes of them.
---@param feed moontide.worker.Feed its source is one of inputs.source
---@param state moontide.worker.State of the pipe that the feed belongs to
---@return boolean stop the sink wants no more
function inputs.run(feed, state)
    local source, execution = feed.source, state.execution
    local op, lists, own = source.op, {}, {}
    for at, child in ipairs(source.children) do
        lists[at] = collect_child(child, execution)
        if not (child.same or child.shared) then
            own[#own + 1] = lists[at]
        end
    end
    if source.iterate then
        execution.drained = true -- the script may keep an iterator over them
        return feed:drain(state, op, source.iterate(op, lists, execution))
    end
    local made = source.read(op, lists, execution)
    local stop = false
    if type(made) == "function" then
        for taken in made do
            local block = ffi.gc(taken, C.tide_block_release)
            stop = feed:run_block(state, block)
            C.tide_block_release(ffi.gc(block, nil))
            if stop then
                break
            end
        end
    else
        for at = 0, made.count - 1 do
            stop = feed:run_block(state, made.items[at])
            if stop then
                break
            end
        end
        own[#own + 1] = made
    end
    release(own) -- a use after the loop: until here nothing of them may be collected
    return stop
end

--- Releases what was computed once for several readers, at the end of a task.
---@param execution moontide.worker.Execution
function inputs.release_shared(execution)
    if execution.drained or not execution.collected then
        return
    end
    for _, known in pairs(execution.collected) do
        for _, one in pairs(known) do C.tide_blocks_destroy(one.list) end
    end
end

return inputs
