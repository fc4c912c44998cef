--- The inputs of operators that read several (zip nodes of a plan, host/task/task.h): each is computed to a list of packed
--- blocks, one that comes again in the plan once for the partitions it reads.
local fast = require "moontide.wire.ffi"
local gather = require "moontide.worker.gather"

local ffi, C = fast.ffi, fast.C

local inputs = {}

-- The records of one input, as packed blocks. Blocks that nothing changes are not copied.
local function collect(child, S)
    S.outputs = gather.blocks()
    child.terminal:begin(S)
    child:consume(S)
    child.terminal:finish(S)
    return S.outputs
end

-- Lets go of lists that were read, now: the collector does not know how much is in them.
local function release(lists)
    for _, list in ipairs(lists) do C.tide_blocks_destroy(list) end
end

-- An input that comes again in the plan is computed once for the partitions it reads.
local function collect_shared(child, run, state_of)
    run.collected = run.collected or {}
    local known = run.collected[child]
    if known == nil then
        known = {}
        run.collected[child] = known
    end
    local from = run.cursor
    if known[from] == nil then
        known[from] = { list = collect(child, state_of(run)), after = run.cursor }
    end
    run.cursor = known[from].after
    return known[from].list
end

local function collect_child(child, run, state_of)
    if child.same then
        local cursor = run.cursor
        run.cursor = cursor - child.back
        local list = collect_shared(child.same, run, state_of)
        run.cursor = cursor
        return list
    end
    if child.shared then
        return collect_shared(child, run, state_of)
    end
    return collect(child, state_of(run))
end

--- Computes the inputs one after the other, as they stand in the plan, and feeds on what the operator makes of them.
---@param feed table whose source has `op` and `children`
---@param S table state of the pipe that the feed belongs to
---@param state_of fun(run: table): table a state for each input's pipe
---@return boolean stop the sink wants no more
function inputs.run(feed, S, state_of)
    local op, lists = feed.source.op, {}
    local own = {}
    for at, child in ipairs(feed.source.children) do
        lists[at] = collect_child(child, S.run, state_of)
        if not (child.same or child.shared) then
            own[#own + 1] = lists[at]
        end
    end
    local drain = gather.drains[op.kind]
    if drain then
        S.run.drained = true -- the script may keep an iterator over them
        return feed:drain(S, op, drain(op, lists, S.run.task))
    end
    local made = gather.readers[op.kind](op, lists, S.run.task, S.run)
    local stop = false
    if type(made) == "function" then
        for taken in made do
            local block = ffi.gc(taken, C.tide_block_release)
            stop = feed:run_block(S, block)
            C.tide_block_release(ffi.gc(block, nil))
            if stop then
                break
            end
        end
    else
        for at = 0, made.count - 1 do
            stop = feed:run_block(S, made.items[at])
            if stop then
                break
            end
        end
    end
    if type(made) ~= "function" then
        own[#own + 1] = made
    end
    release(own) -- a use after the loop: until here nothing of them may be collected
    return stop
end

--- Lets go of what was computed once for several readers, at the end of a task.
---@param run table of pipe.lua
function inputs.release_shared(run)
    if run.drained or not run.collected then
        return
    end
    for _, known in pairs(run.collected) do
        for _, one in pairs(known) do C.tide_blocks_destroy(one.list) end
    end
end

return inputs
