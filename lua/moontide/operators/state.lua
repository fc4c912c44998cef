--- Keyed state: values that live on from batch to batch, one for each key. The work is done by the streams of
--- host/dstream/state.c and by lua/moontide/worker/state.lua.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local conf = require "moontide.base.conf"
local duration = require "moontide.base.duration"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"
local shared = require "moontide.driver.shared"

local state = {}

---@class moontide.DStream
local DStream = {}

-- What mapWithState is to do --------------------------------------------------------------------------------------

--- What mapWithState does, made by moontide.StateSpec.func. It does not change: each method gives a changed copy.
---@class moontide.StateSpec
local StateSpec = {}
local class = check.class("StateSpec", "a", StateSpec, {})

---@class moontide.StateSpecs
local Specs = {}

--- Describes what mapWithState does with each record: `f(key, value, state)` is called once for each, in order of arrival.
---
---     local spec = moontide.StateSpec.func(function(key, n, state)
---         local sum = n + (state:getOption() or 0)
---         state:update(sum)
---         return key, sum
---     end):timeout("30min")
---
--- What it returns goes to the resulting stream: nothing, one value, or a pair. `state` is good for that call only: exists(),
--- get(), getOption(), update(value), remove(), isTimingOut(). With a timeout, it is also called with value nil for a key
--- that was idle for longer, after which the state is gone. The batch time follows as fourth argument. As in Spark 1.6.
---@param f fun(key: any, value: any, state: moontide.State, time: number): any, any
---@return moontide.StateSpec
function Specs.func(f)
    local fields = { fn = operators.package(1, "StateSpec.func", f), site = closure.site(f) }
    return setmetatable({ fields = fields, broadcasts = shared.references(fields.fn) or false }, class)
end

local function changed(spec, name, value)
    check.self(spec, class, name)
    local fields = {}
    for each, old in pairs(spec.fields) do
        fields[each] = old
    end
    fields[name] = value
    return setmetatable({ fields = fields, broadcasts = spec.broadcasts }, class)
end

--- The state to begin with: pairs of key and state; of a key that comes twice, the last. Its last update is the first batch.
---
---     spec:initialState(sc:parallelizePairs({ { "ann", 3 } }))
---
--- As in Spark 1.6.
---@param rdd moontide.RDD of pairs
---@return moontide.StateSpec a changed copy
function StateSpec:initialState(rdd)
    check.self(self, class, "initialState")
    check.handle(1, "initialState", rdd, handles.RDD)
    return changed(self, "initial", rdd)
end

--- How many partitions the state has, default the context's parallelism.
---
---     spec:numPartitions(8)
---
--- As in Spark 1.6.
---@param n integer 1 to 100,000
---@return moontide.StateSpec a changed copy
function StateSpec:numPartitions(n)
    check.self(self, class, "numPartitions")
    return changed(self, "partitions", partitioner.by_hash(check.partitions(1, "numPartitions", n)))
end

--- What the keys are partitioned by, instead of their hash.
---
---     spec:partitioner(moontide.Partitioner(4, function(key) return #key end))
---
--- As in Spark 1.6.
---@param by moontide.Partitioner
---@return moontide.StateSpec a changed copy
function StateSpec:partitioner(by)
    check.self(self, class, "partitioner")
    return changed(self, "partitions", check.handle(1, "partitioner", by, partitioner.class))
end

--- A key without records for longer than that is timed out: in the first batch T with last use < T - timeout.
---
---     spec:timeout("30min")
---
--- As in Spark 1.6.
---@param idle number|string duration, longer than 0
---@return moontide.StateSpec a changed copy
function StateSpec:timeout(idle)
    check.self(self, class, "timeout")
    return changed(self, "timeout", duration.argument(1, "timeout", idle))
end

state.specs = setmetatable(Specs, {
    __index = function(_, name)
        check.fail("StateSpec has no function '%s'%s", tostring(name), check.suggestion(tostring(name), { "func" }))
    end,
})

-- Whether a key whose function fails is passed over. Only written to the descriptor where it is so.
local function skips(scope)
    return conf.get(scope.life.settings, "onError") == "skip" or nil
end

-- Bytes of a partition's state that are kept as a store, which stays in memory; above that states are records between batches,
-- which go to disk when there is no room: half of what may be kept in memory.
local function most_in_memory(scope, partitions)
    return math.floor(scope.life.context.sc.state.engine:memory().limit / 2 / partitions)
end

-- The streams -----------------------------------------------------------------------------------------------------

-- The core's dataset of the initial state, in the partitions of the state; nil for none.
local function initial_node(scope, name, site, rdd, by)
    if rdd == nil then
        return nil
    end
    if not scope.is_rdd(rdd) then
        check.fail("'%s': the initial state must be an RDD of pairs, got %s", name, check.type_name(rdd))
    end
    if rdd.scope ~= scope.life.context.sc.scope then
        check.fail("'%s': the initial state belongs to another Context", name)
    end
    return rdd.node:shuffle(operators.by_key(name, site, by))
end

local OPTIONS = { "partitions", "initial" }

--- Keeps a state for each key and updates it in every batch: `f(values, old)` gets the array of the key's new values, empty
--- when it has none, and its state, nil for a new key, and returns the new state; nil removes the key. The result holds
--- all keys and their states after each batch.
---
---     ones:updateStateByKey(function(values, count)
---         count = count or 0
---         for _, n in ipairs(values) do count = count + n end
---         return count
---     end)
---
--- It is called for every key in every batch, also in batches without data; mapWithState touches only what changes. The
--- batch time and the key follow as third and fourth argument. Needs ssc:checkpoint(directory).
---
--- A function that fails, fails the batch; with the setting `onError = "skip"` the key keeps the state it had.
--- Guide: "UpdateStateByKey Operation".
---@param f fun(values: any[], old: any, time: number, key: any): any
---@param options? integer|moontide.Partitioner|{ partitions: (integer|moontide.Partitioner)?, initial: moontide.RDD? }
---   partitions, default the context's
---   parallelism; pairs of key and state to begin with
---@return moontide.DStream
function DStream:updateStateByKey(f, options)
    local scope = operators.begin(self, "updateStateByKey")
    local name = "updateStateByKey"
    local fn = operators.package(1, name, f)
    local by, initial = options, nil
    if type(options) == "table" and getmetatable(options) ~= partitioner.class then
        check.options(name, options, OPTIONS)
        by, initial = options.partitions, options.initial
    end
    by = operators.partitioning(self, 2, name, by)
    local site = closure.site(f)
    local values = self.node:shuffle(operators.by_key(name, site, by))
    local kept = values:state(by.count, operators.descriptor("updateState", name, site, { fn = fn, skip = skips(scope) }),
        initial_node(scope, name, site, initial, by))
    scope.label(kept, name, site)
    return scope.wrap(kept)
end

--- Maps each record with the state of its key, which the function may read, update and remove.
---
---     local sums = scores:mapWithState(moontide.StateSpec.func(function(key, n, state)
---         state:update((state:getOption() or 0) + n)
---         return key, state:get()
---     end))
---     sums:stateSnapshots():print()
---
--- The result has one record for each call that returned something. Only keys with records, or whose timeout has come,
--- cost anything. Needs ssc:checkpoint(directory). As in Spark 1.6.
---@param spec moontide.StateSpec
---@return moontide.DStream mapped with the method stateSnapshots()
function DStream:mapWithState(spec)
    local scope = operators.begin(self, "mapWithState")
    check.handle(1, "mapWithState", spec, class)
    local name, fields = "mapWithState", spec.fields
    local site = fields.site
    local by = fields.partitions or scope.partitioner({ self.node })
    local values = self.node:shuffle(operators.by_key(name, site, by))
    local op = operators.descriptor("mapWithState", name, site,
        { fn = fields.fn, timeout = fields.timeout, skip = skips(scope), most = most_in_memory(scope, by.count) })
    local kept = values:mapState(by.count, op, initial_node(scope, name, site, fields.initial, by))
    scope.label(kept, name, site)
    local mapped = scope.wrap(kept:view(operators.descriptor("pickMapped", name, site), false))
    scope.kept[mapped.node:id()] = kept
    return mapped
end

--- Of the result of mapWithState: pairs of each key and its state after the batch.
---
---     local sums = scores:mapWithState(spec)
---     sums:stateSnapshots():print()
---
--- Called on another stream it is an error. As in Spark 1.6.
---@return moontide.DStream
function DStream:stateSnapshots()
    local scope = operators.begin(self, "stateSnapshots")
    local kept = scope.kept[self.node:id()]
    if not kept or kept:kind() ~= "map_with_state" then
        check.fail("'stateSnapshots': only the result of mapWithState has snapshots")
    end
    return scope.wrap(kept:view(operators.descriptor("pickState", "stateSnapshots", check.site()), true))
end

handles.add { DStream = DStream }

return state
