--- Builds and runs the stages of plans. A plan becomes *pipes*: each has feeds (an input, and the per-record operators on its way) and one
--- terminal. The terminal of the last pipe is the task's sink. Another terminal (count, glom, mapPartitions …) ends its pipe where
--- an operator needs the whole partition: what it makes is the input of a feed of the next pipe.
local failure = require "moontide.worker.failure"
local feeds = require "moontide.worker.feed"
local inputs = require "moontide.worker.inputs"
local kinds = require "moontide.worker.kinds"
local leaf = require "moontide.worker.leaf"
local pull = require "moontide.worker.pull"
local randomness = require "moontide.worker.randomness"
local sinks = require "moontide.worker.sinks"
local task_state = require "moontide.worker.task_state"

local stage = {}

-- Running -----------------------------------------------------------------------------------------------------------

---@class moontide.worker.Pipe
---@field parts table[] what it reads, in order: { times =, feed = } or { times =, parts = }
---@field terminal moontide.worker.Terminal
---@field inputs integer how many inputs of the task one run takes
---@field shared boolean? several nodes read what it makes (inputs.lua)
local Pipe = {}
Pipe.__index = Pipe

-- The generators of operators that draw random numbers, for the partition that is about to be read. Operators above a union that was
-- joined in one task have one partition, and one generator, for all that the union brings; the first `ops.own` are not above it.
local function give_generators(feed, state)
    local execution, ops = state.execution, feed.ops
    local cursor = execution.cursor
    local first = cursor < execution.task.ninputs and execution.inputs[cursor].partition or 0
    execution.generators = execution.generators or {}
    for _, k in ipairs(feed.draws) do
        local op, token = ops[k], ops.tokens[k]
        local slot = k > ops.own and execution.generators[token]
        if not slot then
            slot = randomness.slot(op.place, (op.of_task and execution.partition or first) + (op.shift or 0))
            execution.generators[token] = slot
        end
        state["d" .. k] = slot
    end
end

--- Feeds everything that the pipe has as input into its terminal.
---@param state moontide.worker.State
---@param parts? table[] default all
---@return boolean stop the sink wants no more
function Pipe:consume(state, parts)
    for _, part in ipairs(parts or self.parts) do
        for _ = 1, part.times do
            local feed = part.feed
            local stop
            if feed and #feed.draws > 0 then
                give_generators(feed, state)
            end
            if part.parts then
                stop = self:consume(state, part.parts)
            elseif feed.source.leaf then
                stop = leaf.run(feed, state)
            elseif feed.source.children then
                stop = inputs.run(feed, state)
            else
                stop = feed.source.pipe:yield_to(feed, state)
            end
            randomness.rest()
            if stop then
                return true
            end
        end
    end
    return false
end

--- Runs this pipe and gives what its terminal makes to a feed of the next pipe.
---@param feed moontide.worker.Feed
---@param outer moontide.worker.State of the next pipe
---@return boolean stop the sink wants no more
function Pipe:yield_to(feed, outer)
    local state = task_state.new(outer.execution)
    if self.terminal.pull then
        return pull.run(self, feed, outer, state)
    end
    self.terminal:begin(state)
    self:consume(state)
    local stop = false
    self.terminal:finish(state, function(a, b) stop = feed:push(outer, a, b) or stop end)
    return stop
end

-- Building ----------------------------------------------------------------------------------------------------------

local build

-- A list of operators: `tokens` has something unique for each, in each place of the plan where it occurs; the first `own` of them
-- belong to one input, the others are above a union.
local function above_union(ops)
    local list = { own = 0, tokens = ops.tokens }
    for at, op in ipairs(ops) do list[at] = op end
    return list
end

-- The pipes of zip nodes' children in the order in which they are complete, while a plan is built: "same" nodes count back in it.
local complete = {}

local function build_child(node, op)
    if node.type == "same" then
        local child = complete[#complete + 1 - node.nodes_back]
        child.shared = true
        return { same = child, inputs_back = node.inputs_back, inputs = 0 }
    end
    local child = build(node, kinds.need("sink", "collect")(op))
    complete[#complete + 1] = child
    return child
end

local add_parts

-- A chain: per-record operators join those that follow; a partition-wise one ends a pipe of its own.
local function add_chain(parts, times, node, ops, terminal)
    local chain = node.ops
    local first = #chain
    while first > 0 and kinds.find("record", chain[first].kind) do first = first - 1 end
    local joined = { own = #chain - first + ops.own, tokens = {} }
    for at = first + 1, #chain do
        joined[#joined + 1] = chain[at]
        joined.tokens[#joined] = {}
    end
    for at, op in ipairs(ops) do
        joined[#joined + 1] = op
        joined.tokens[#joined] = ops.tokens[at]
    end
    if first == 0 then
        return add_parts(parts, times, node.input, joined, terminal)
    end
    local op = chain[first]
    local source_of = kinds.find("source", op.kind) -- its input describes what it makes
    if source_of then
        parts[#parts + 1] = { times = times, feed = feeds.new(source_of(op), joined, terminal) }
        return
    end
    local before = {}
    for at = 1, first - 1 do before[at] = chain[at] end
    local inner = kinds.need("partition", op.kind)(op)
    local input = #before > 0 and { type = "chain", input = node.input, ops = before } or node.input
    parts[#parts + 1] = { times = times, feed = feeds.new({ pipe = build(input, inner) }, joined, terminal) }
end

-- Collects the parts of a node whose records then pass `ops` to `terminal`.
function add_parts(parts, times, node, ops, terminal)
    if node.type == "leaf" then
        parts[#parts + 1] = { times = times, feed = feeds.new(leaf.source(node.read), ops, terminal) }
    elseif node.type == "concat" then
        ops = above_union(ops)
        local inner = parts
        if times > 1 then
            inner = {}
            parts[#parts + 1] = { times = times, parts = inner }
        end
        for _, run in ipairs(node.runs) do add_parts(inner, run.times, run.node, ops, terminal) end
    elseif node.type == "zip" then
        local op, children = node.op, {}
        local source = inputs.source(op, children)
        for at, child in ipairs(node.children) do children[at] = build_child(child, op) end
        parts[#parts + 1] = { times = times, feed = feeds.new(source, ops, terminal) }
    else
        add_chain(parts, times, node, ops, terminal)
    end
end

-- How many inputs of the task a source takes.
local function inputs_of(source)
    if source.leaf then
        return 1
    end
    if source.pipe then
        return source.pipe.inputs
    end
    local count = 0
    for _, child in ipairs(source.children) do count = count + child.inputs end
    return count
end

local function inputs_of_parts(parts)
    local count = 0
    for _, part in ipairs(parts) do
        count = count + part.times * (part.parts and inputs_of_parts(part.parts) or inputs_of(part.feed.source))
    end
    return count
end

function build(node, terminal)
    local parts = {}
    add_parts(parts, 1, node, { own = 0, tokens = {} }, terminal)
    return setmetatable({ parts = parts, terminal = terminal, inputs = inputs_of_parts(parts) }, Pipe)
end

--- Makes a runnable stage of a plan. Raises for an unknown kind of operator.
---@param plan moontide.worker.Plan
---@return moontide.worker.Pipe
function stage.build(plan)
    complete = {}
    return build(plan.node, sinks.new(plan.sink))
end

--- Runs a stage over a task's inputs into its outputs.
---@param pipe moontide.worker.Pipe of stage.build
---@param execution moontide.worker.Execution
function stage.run(pipe, execution)
    local state = task_state.new(execution, execution.outputs, execution.task.noutputs)
    pipe.terminal:begin(state)
    pipe:consume(state)
    pipe.terminal:finish(state)
    inputs.release_shared(execution)
end

--- Drops what a stage registered elsewhere.
---@param pipe moontide.worker.Pipe
function stage.forget(pipe)
    for _, part in ipairs(pipe.parts) do
        if part.parts then
            stage.forget(part)
        else
            local source = part.feed.source
            for _, name in ipairs(part.feed.chunks) do failure.forget(name) end
            if source.read and source.leaf and source.read.combine_feed then
                for _, name in ipairs(source.read.combine_feed.chunks) do failure.forget(name) end
            end
            if source.pipe then
                stage.forget(source.pipe)
            end
            for _, child in ipairs(source.children or {}) do
                if not child.same then
                    stage.forget(child)
                end
            end
        end
    end
end

return stage
