--- RDD: the handle of a dataset. Datasets are immutable and lazy: transformations add a node to the lineage, actions compute it
--- (operators/ has both). A record is one Lua value, or a pair of two; outside of closures a pair is the table {key, value}.

local check = require "moontide.base.check"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local pack = require "moontide.driver.pack"
local partitioner = require "moontide.operators.partitioner"

local rdd = {}

--- A dataset. Misuse is raised at the caller's line: wrong arguments, functions and values that cannot travel to the
--- workers (the message names the variable), a context that is stopped. An action that fails raises a moontide.Error.
---@class moontide.RDD
---@field sc moontide.Context
local RDD = {}

local class = handles.RDD

--- What the handles of one context share.
---@param sc moontide.Context
---@param state table
---@return table scope
function rdd.scope(sc, state)
    local scope = { state = state }

    function scope.ready(name)
        if state.closed or state.closing then
            check.fail("'%s': the context is stopped (stop was called); make a new one", name)
        end
    end

    function scope.parallelism()
        return state.parallelism
    end

    function scope.partitioner(nodes)
        local most
        for _, node in ipairs(nodes) do
            if node:keyPartitions() > (most and most:keyPartitions() or 0) then
                most = node
            end
        end
        return most and partitioner.of(most) or partitioner.by_hash(state.parallelism)
    end

    function scope.wrap(node)
        return setmetatable({ sc = sc, scope = scope, node = node }, class)
    end

    function scope.from_array(what, array, n, arity)
        local node = state.engine:blocks(pack.partitions(what, array, n, arity))
        pack.describe(node, what, array, arity)
        return scope.wrap(node)
    end

    function scope.union(what, rdds)
        if #rdds == 0 then
            check.fail("'%s': the list is empty, at least one dataset is needed", what)
        end
        local nodes = {}
        for index, other in ipairs(rdds) do
            if getmetatable(other) ~= class then
                check.fail("'%s': an RDD expected at position %d, got %s", what, index, check.type_name(other))
            end
            if other.scope ~= scope then
                check.fail("'%s': the dataset at position %d belongs to another Context", what, index)
            end
            nodes[index] = other.node
        end
        operators.check_alike(what, nodes)
        local node = state.engine:union(nodes)
        if node:arity() == 0 then
            node:joinedBy(("%s (%s)"):format(what, check.site()))
        end
        return scope.wrap(node)
    end

    return scope
end

function class.__tostring(self)
    if self.scope.state.closed then
        return "RDD of a context that is stopped"
    end
    local partitions = self.node:partitions()
    return ("RDD #%d (%d partition%s)"):format(self.node:id(), partitions, partitions == 1 and "" or "s")
end

--- How many partitions the dataset has.
---
---     sc:parallelize({ 1, 2, 3 }, 2):getNumPartitions()  --> 2
---
--- As in Spark 1.6.
---@return integer
function RDD:getNumPartitions()
    handles.begin(self, class, "getNumPartitions")
    return self.node:partitions()
end

--- A number that no other dataset of the process has.
---
---     numbers:id() == words:id()  --> false
---
--- As in Spark 0.9.
---@return integer
function RDD:id()
    handles.begin(self, class, "id")
    return self.node:id()
end

--- The context the dataset belongs to.
---
---     numbers:context() == sc  --> true
---
--- As in Spark 0.9.
---@return moontide.Context
function RDD:context()
    check.self(self, class, "context")
    return self.sc
end

--- How the dataset comes about, one line for each step.
---
---     print(lines:map(parse):reduceByKey(add):toDebugString())
---
--- As in Spark 0.9.
---@return string
function RDD:toDebugString()
    handles.begin(self, class, "toDebugString")
    return self.node:lineage()
end

handles.add { RDD = RDD }
require "moontide.operators.records"
require "moontide.operators.keyed"
handles.on_demand("RDD", {
    "moontide.operators.storage", "moontide.operators.save", "moontide.operators.joins", "moontide.operators.numbers",
    "moontide.operators.sets", "moontide.operators.sampling", "moontide.operators.checkpoint",
})

return rdd
