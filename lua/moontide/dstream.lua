--- DStream: the handle of a stream of datasets, one for each batch. Operators add a node to the graph of the streaming
--- context; outputs register what runs in each batch. Both only before ssc:start().

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local closure = require "moontide.closure"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"
local text_form = require "moontide.base.text_form"

local dstream = {}

--- A stream of datasets. Misuse is raised at the caller's line: wrong arguments, functions that cannot travel to the workers
--- (the message names the variable), operators and outputs after the start. What fails in a batch is raised by
--- awaitTermination.
---@class moontide.DStream
---@field ssc moontide.StreamingContext
local DStream = {}

local class = handles.DStream

-- What sets something and adds nothing to the graph.
local SETTINGS = { remember = true, checkpoint = true, persist = true, cache = true }

--- What the handles of one streaming context share.
---@param ssc moontide.StreamingContext
---@param life table
---@return table scope
function dstream.scope(ssc, life)
    -- kept: by the number of a stream, the core's stream behind it that keeps the state it shows
    -- labels: by the number of a stream, what messages call it
    -- names: by the number of a stream, the name that the script has given it
    -- named_at: by that name, where it did
    local scope = { life = life, kept = {}, labels = {}, names = {}, named_at = {} }

    function scope.ready(name)
        if SETTINGS[name] and (life.state == "ACTIVE" or life.state == "STOPPING") then
            check.fail("'%s': this cannot be changed after the context was started; do it before ssc:start()", name)
        elseif life.state == "ACTIVE" or life.state == "STOPPING" then
            check.fail("'%s': streams and outputs cannot be added after the context was started; do it before ssc:start()",
                name)
        elseif life.state == "STOPPED" then
            check.fail("'%s': the streaming context is stopped (stop was called); make a new one", name)
        end
    end

    function scope.parallelism()
        return life.context.parallelism
    end

    -- How the datasets of a batch are partitioned is known only then.
    function scope.partitioner()
        return partitioner.by_hash(life.context.parallelism)
    end

    function scope.wrap(node)
        return setmetatable({ ssc = ssc, scope = scope, node = node, number = node:id(), slide = node:slide() }, class)
    end

    function scope.wrap_rdd(node)
        return life.context.sc.scope.wrap(node)
    end

    function scope.is_rdd(value)
        return getmetatable(value) == handles.RDD
    end

    -- Streams that are combined: of this context, and with one slide.
    function scope.nodes(name, streams)
        if #streams == 0 then
            check.fail("'%s': the list is empty, at least one stream is needed", name)
        end
        local nodes = {}
        for index, stream in ipairs(streams) do
            if getmetatable(stream) ~= class then
                check.fail("'%s': a DStream expected at position %d, got %s", name, index, check.type_name(stream))
            end
            if stream.scope ~= scope then
                check.fail("'%s': the stream at position %d belongs to another StreamingContext", name, index)
            end
            nodes[index] = stream.node
            if stream.slide ~= streams[1].slide then
                check.fail("'%s': the streams have different slide durations (%.0f ms and %.0f ms)", name,
                    streams[1].slide, stream.slide)
            end
        end
        return nodes
    end

    -- All of single values, or all of pairs.
    function scope.union(name, streams)
        local nodes = scope.nodes(name, streams)
        operators.check_alike(name, nodes)
        local node = life.graph:union(nodes)
        node:joinedBy(("%s (%s)"):format(name, check.site()))
        return scope.wrap(node)
    end

    -- What messages of the core call a stream: "updateStateByKey (job.lua:12)".
    function scope.label(node, name, site)
        scope.labels[node:id()] = ("%s (%s)"):format(name, site)
    end

    -- `run` gets the list of datasets and the time.
    function scope.transform(name, nodes, fn, run)
        local node, site = life.graph:transform(nodes), closure.site(fn)
        node:joinedBy(("%s (%s)"):format(name, site))
        life.transforms[node:id()] = { name = name, site = site, run = run, fn = fn }
        return scope.wrap(node)
    end

    -- `run` gets the dataset and the time, once for each that is generated; `fn` is the script's function behind it, if any.
    function scope.output(stream, name, site, run, fn)
        local number = stream.node:output()
        local output = { name = name, site = site, run = run, fn = fn, number = number }
        life.outputs[number] = output
        table.insert(life.outputs_in_order, output)
        return output
    end

    return scope
end

function class.__tostring(self)
    local name = self.scope.names[self.number]
    return name and ("DStream #%d '%s'"):format(self.number, name) or ("DStream #%d"):format(self.number)
end

--- Applies any operation on datasets: `f` gets the dataset and the time of each batch and returns a dataset. It runs in
--- the driver, each batch anew, so variables it reads may change.
---
---     counts:transform(function(rdd) return rdd:sortByKey() end)
---
--- Guide: "Transform Operation".
---@param f fun(rdd: moontide.RDD, time: number): moontide.RDD
---@return moontide.DStream
function DStream:transform(f)
    local scope = operators.begin(self, "transform")
    check.func(1, "transform", f)
    return scope.transform("transform", { self.node }, f, function(rdds, time)
        return f(rdds[1], time)
    end)
end

--- Like transform, with the datasets of two streams. Both need the same slide.
---
---     a:transformWith(b, function(x, y, time) return x:union(y):distinct() end)
---
--- Guide: "Transform Operation".
---@param other moontide.DStream
---@param f fun(a: moontide.RDD, b: moontide.RDD, time: number): moontide.RDD
---@return moontide.DStream
function DStream:transformWith(other, f)
    local scope = operators.begin(self, "transformWith")
    check.handle(1, "transformWith", other, class)
    check.func(2, "transformWith", f)
    return scope.transform("transformWith", scope.nodes("transformWith", { self, other }), f, function(rdds, time)
        return f(rdds[1], rdds[2], time)
    end)
end

-- "updateStateByKey 'counts' (job.lua:12)"
local function name_label(scope, id, name, site)
    local what, at = (scope.labels[id] or ("stream (%s)"):format(site)):match("^(.-)( %b())$")
    scope.labels[id] = ("%s '%s'%s"):format(what, name, at)
end

--- Names the stream: messages, the lineage of its datasets and sinks (saveTo) call it so.
---
---     tostring(words:countByValue():named("counts")):match("'.*'")  --> "'counts'"
---
--- A name belongs to one stream of a context; a second one for the same stream, an empty one, and one with control characters
--- are errors. Not in Spark.
---@param name string 1 to 200 bytes
---@return moontide.DStream stream this one
function DStream:named(name)
    local scope = operators.begin(self, "named")
    local problem = check.not_name(name)
    if problem then
        check.fail("bad argument #1 to 'named' (%s)", problem)
    end
    for _, output in ipairs(scope.life.sinks) do
        if output.stream == self.number and output.by_position then
            check.fail("'named': saveTo (%s) has called itself '%s' because the stream had no name: name the stream before", output.site,
                output.sink_name)
        end
    end
    local kept = scope.kept[self.number]
    local named, reason = self.node:named(name, kept)
    if not named then
        local taken = scope.named_at[name]
        check.fail("'named': %s%s", reason, taken and (" (named at %s)"):format(taken) or "")
    end
    local site = check.site()
    scope.names[self.number], scope.named_at[name] = name, site
    name_label(scope, self.number, name, site)
    if kept then
        name_label(scope, kept:id(), name, site)
    end
    return self
end

--- Output: calls `f` with the dataset and the time of each batch, empty ones too. It runs in the driver; actions inside
--- suspend it without stopping the clock. An error fails the batch.
---
---     counts:foreachRDD(function(rdd, time)
---         print(time, #rdd:collect())
---     end)
---
--- A batch that runs again, after a crash, has the same `time`: what `f` stores under a key that `time` is part of is stored once. An
--- output that sees to that itself is saveTo.
---
--- Guide: "Output Operations".
---@param f fun(rdd: moontide.RDD, time: number)
function DStream:foreachRDD(f)
    local scope = operators.begin(self, "foreachRDD")
    check.func(1, "foreachRDD", f)
    scope.output(self, "foreachRDD", closure.site(f), f, f)
end

local RULE = string.rep("-", 43)

-- The text that print writes for a batch: one more record than is shown says whether "..." follows.
local function printed(records, n, time, is_pair)
    local lines = { RULE, ("Time: %.0f ms"):format(time), RULE }
    for index = 1, math.min(n, #records) do
        local record = records[index]
        lines[#lines + 1] = is_pair and text_form.pair(record[1], record[2]) or text_form.value(record)
    end
    if #records > n then
        lines[#lines + 1] = "..."
    end
    lines[#lines + 1] = "\n"
    return table.concat(lines, "\n")
end

--- Output: writes the time and the first `n` records of each batch to standard output; "..." when there are more.
---
---     counts:print()
---
--- Guide: "Output Operations".
--- A batch that cannot be written (the pipe is closed) fails with an error.
---@param n? integer how many records are shown, 0 to 1,000,000, default 10
function DStream:print(n)
    local scope = operators.begin(self, "print")
    n = check.integer(1, "print", n, 0, 1000000, 10)
    local site = check.site()
    scope.output(self, "print", site, function(dataset, time)
        local records, is_pair = actions.take(dataset, n + 1, "print", site)
        local text = printed(records, n, time, is_pair)
        local written, reason = io.stdout:write(text)
        if written then
            written, reason = io.stdout:flush()
        end
        if not written then
            error("cannot write to standard output: " .. tostring(reason), 0)
        end
    end)
end

--- How often the stream has a dataset, ms.
---
---     lines:window("30s", "20s"):slideDuration()  --> 20000
---
--- As in Spark 0.9.
---@return number
function DStream:slideDuration()
    check.self(self, class, "slideDuration")
    return self.slide
end

--- The streaming context the stream belongs to.
---
---     lines:context() == ssc  --> true
---
--- As in Spark 0.9.
---@return moontide.StreamingContext
function DStream:context()
    check.self(self, class, "context")
    return self.ssc
end

handles.add { DStream = DStream }
handles.on_demand("DStream", {
    "moontide.operators.windows", "moontide.operators.save", "moontide.operators.state", "moontide.operators.joins",
    "moontide.operators.storage", "moontide.operators.slices", "moontide.operators.checkpoint", "moontide.operators.save_to",
})

return dstream
