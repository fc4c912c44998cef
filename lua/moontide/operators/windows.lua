--- Windows: streams whose datasets reach over several batches. The work is done by the streams of host/dstream/window.c,
--- merge_window.c and inverse_window.c; here arguments are checked and descriptors made.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local duration = require "moontide.base.duration"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"
local totals = require "moontide.operators.totals"

---@class moontide.DStream
local DStream = {}

-- Length and slide of a window, arguments `first` and the next of `name`; the slide may be left out where `optional`.
local function spans(stream, name, first, length, slide, optional)
    local parent = stream.node:slide()
    length = duration.argument(first, name, length, true)
    if slide ~= nil or not optional then
        slide = duration.argument(first + 1, name, slide)
    else
        slide = parent
    end
    if length % parent ~= 0 then
        check.fail("'%s': the window duration (%.0f ms) must be a multiple of the slide duration of the stream it is applied "
            .. "to (%.0f ms)", name, length, parent)
    end
    if slide % parent ~= 0 then
        check.fail("'%s': the slide duration (%.0f ms) must be a multiple of the slide duration of the stream it is applied "
            .. "to (%.0f ms)", name, slide, parent)
    end
    return { length = length, slide = slide }
end

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function is_positive(n) return n > 0 end
local function not_zero(_, n) return n ~= 0 end

-- All records under one key, which tells whether they are pairs; and back.
local function as_one_key(a, b)
    if b ~= nil then
        return 2, { a, b }
    end
    return 1, a
end

local function of_one_key(key, x)
    if key == 2 then
        return x[1], x[2]
    end
    return x
end

-- The results of each batch, by key.
local function reduced(node, name, site, merge, by)
    local parts = operators.shuffle(node, name, site, "hash", by, { kind = "combine", merge = merge },
        { kind = "concat" }, true)
    return parts:view(operators.descriptor("mergeParts", name, site, { merge = merge }), true)
end

-- Merges the results of the batches of each window.
local function merged_window(node, name, site, merge, span, by)
    local op = operators.descriptor("mergeParts", name, site, { merge = merge })
    return reduced(node, name, site, merge, by):mergeWindow(span.length, span.slide, by.count, op, "zip")
end

-- From one window to the next: what has left is taken away with `inverse`, what has come is added. A window that slides by
-- more than its length shares nothing with the one before. `last` is the kind of an operator (its function is fields.last) that
-- makes the result of the window.
local function inverse_window(scope, node, name, site, fields, span, by, last)
    local out, kept
    if span.slide > span.length then
        out = merged_window(node, name, site, fields.merge, span, by)
    else
        local parts = reduced(node, name, site, fields.merge, by)
        kept = parts:inverseWindow(span.length, span.slide, by.count, operators.descriptor("inverse", name, site, fields),
            operators.descriptor("windowAnew", name, site, fields))
        scope.label(kept, name, site)
        out = kept:view(operators.descriptor("pickState", name, site), true)
    end
    if fields.filter then
        out = out:narrow(operators.descriptor("filter", name, site, { fn = fields.filter }), true)
    end
    if last then
        out = out:narrow(operators.descriptor(last, name, site, { fn = fields.last }), false)
    end
    scope.kept[out:id()] = kept
    return scope.wrap(out)
end

--- The records of the last `length` of time, every `slide`. Windows begin partial: the first comes after one slide with
--- what there is by then.
---
---     lines:window("30s", "10s"):count():print()
---
--- The records of the window's batches follow one another, the oldest batch first. The stream it is applied to is
--- persisted, and so is persist(level) on the window meant for that stream. Guide: "Window Operations".
---@param length number|string duration, a multiple of this stream's slide duration
---@param slide? number|string duration, likewise; default this stream's slide duration
---@return moontide.DStream
function DStream:window(length, slide)
    local scope = operators.begin(self, "window")
    local span = spans(self, "window", 1, length, slide, true)
    return scope.wrap(self.node:window(span.length, span.slide, false))
end

-- reduceByWindow(f, length, slide): one record for each batch, and of those one for each window.
local function reduce_by_window(self, scope, f, length, slide)
    local name, site = "reduceByWindow", closure.site(f)
    local fields = { fn = operators.package(1, name, f) }
    local span = spans(self, name, 2, length, slide)
    local op = operators.descriptor("reducePartition", name, site, fields)
    return scope.wrap(totals.reduce(self, f).node:mergeWindow(span.length, span.slide, 1, op, "narrow"))
end

--- One record for each window: all its records merged by `f`. Nothing for an empty window.
---
---     numbers:reduceByWindow(math.max, "30s", "10s")
---     numbers:reduceByWindow(function(a, b) return a + b end, function(a, b) return a - b end, "30s", "10s")
---
--- With `inverse`, each window is made from the one before: what has come is added with `f`, what has left is taken away
--- with `inverse(total, leaving)`. That needs ssc:checkpoint(directory); once something was there, a window without
--- records gives the neutral value (0). Guide: "Window Operations".
---@param f fun(a: any, b: any): any associative and commutative
---@param inverse fun(a: any, b: any): any may be left out
---@param length number|string duration, a multiple of this stream's slide duration
---@param slide number|string duration, likewise
---@return moontide.DStream
---@overload fun(self: moontide.DStream, f: function, length: number|string, slide: number|string): moontide.DStream
function DStream:reduceByWindow(f, inverse, length, slide)
    local scope = operators.begin(self, "reduceByWindow")
    check.func(1, "reduceByWindow", f)
    if type(inverse) ~= "function" and slide == nil then
        return reduce_by_window(self, scope, f, inverse, length)
    end
    if inverse == nil then
        return reduce_by_window(self, scope, f, length, slide)
    end
    local name, site = "reduceByWindow", closure.site(f)
    local fields = { merge = operators.package(1, name, f), inverse = operators.package(2, name, inverse, "inverse"),
        last = operators.own(name, of_one_key) }
    local span = spans(self, name, 3, length, slide)
    local keyed = totals.reduce(self, f).node:narrow(operators.descriptor("map", name, site,
        { fn = operators.own(name, as_one_key) }), false)
    return inverse_window(scope, keyed, name, site, fields, span, partitioner.by_hash(1), "map")
end

--- How many records each window has, one number. None before the first record has come; from then on also 0.
---
---     lines:countByWindow("30s", "10s"):print()
---
--- Needs ssc:checkpoint(directory). window(…):count() gives 0 from the start and does not need it.
--- Guide: "Window Operations".
---@param length number|string duration, a multiple of this stream's slide duration
---@param slide number|string duration, likewise
---@return moontide.DStream
function DStream:countByWindow(length, slide)
    local scope = operators.begin(self, "countByWindow")
    local name, site = "countByWindow", check.site()
    local span = spans(self, name, 1, length, slide)
    local node = operators.narrow(self, "count", name, site)
    node = node:narrow(operators.descriptor("filter", name, site, { fn = operators.own(name, is_positive) }), false)
    node = node:narrow(operators.descriptor("map", name, site, { fn = operators.own(name, as_one_key) }), false)
    local fields = { merge = operators.own(name, add), inverse = operators.own(name, subtract) }
    return inverse_window(scope, node, name, site, fields, span, partitioner.by_hash(1), "values")
end

--- Pairs of each different record and how often it occurs in the window.
---
---     words:countByValueAndWindow("1min", "10s"):print()
---
--- Needs ssc:checkpoint(directory). Guide: "Window Operations".
---@param length number|string duration, a multiple of this stream's slide duration
---@param slide number|string duration, likewise
---@param n? integer partitions, default the context's parallelism
---@return moontide.DStream
function DStream:countByValueAndWindow(length, slide, n)
    local scope = operators.begin(self, "countByValueAndWindow")
    local name, site = "countByValueAndWindow", check.site()
    local span = spans(self, name, 1, length, slide)
    n = check.partitions(3, name, n, scope.parallelism())
    local fields = { merge = operators.own(name, add), inverse = operators.own(name, subtract),
        filter = operators.own(name, not_zero) }
    return inverse_window(scope, operators.narrow(self, "one", name, site), name, site, fields, span,
        partitioner.by_hash(n))
end

--- Merges the values of each key in a window with `f`.
---
---     ones:reduceByKeyAndWindow(add, "30s", "10s")
---     ones:reduceByKeyAndWindow(add, subtract, "30s", "10s", nil, function(word, n) return n > 0 end)
---
--- The results of each batch are kept and merged, never its records again, and windows that overlap share merges. With
--- `inverse`, each window is made from the one before: what has come is added with `f`, what has left is taken away with
--- `inverse(total, leaving)`. That needs ssc:checkpoint(directory), and a key stays, with the neutral value (0), after its
--- last record has left; `filter` hides such keys, and they are then forgotten. Guide: "Window Operations".
--- A duration that is no multiple, and a filter without `inverse`, is an error.
---@param f fun(a: any, b: any): any associative and commutative
---@param inverse fun(a: any, b: any): any may be left out
---@param length number|string duration, a multiple of this stream's slide duration
---@param slide? number|string duration, likewise; default this stream's slide duration
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@param filter? fun(key: any, value: any): boolean with `inverse`: which pairs are part of the result
---@return moontide.DStream
---@overload fun(self: any, f: function, length: number|string, slide: number|string?, n: (integer|moontide.Partitioner)?): moontide.DStream
function DStream:reduceByKeyAndWindow(f, inverse, length, slide, n, filter)
    local scope = operators.begin(self, "reduceByKeyAndWindow")
    local name = "reduceByKeyAndWindow"
    local fields = { merge = operators.package(1, name, f) }
    local first = 3
    if inverse ~= nil and type(inverse) ~= "function" then
        if filter ~= nil then
            check.fail("bad argument #6 to '%s' (without an inverse function it takes 4 arguments; got %s)", name,
                check.type_name(filter))
        end
        inverse, length, slide, n, filter, first = nil, inverse, length, slide, n, 2
    end
    local span = spans(self, name, first, length, slide, true)
    n = operators.partitioning(self, first + 2, name, n)
    if not inverse then
        if filter ~= nil then
            check.fail("'%s': a filter goes with an inverse function only; filter the result", name)
        end
        return scope.wrap(merged_window(self.node, name, closure.site(f), fields.merge, span, n))
    end
    fields.inverse = operators.package(2, name, inverse, "inverse")
    fields.filter = filter ~= nil and operators.package(6, name, filter, "filter") or nil
    return inverse_window(scope, self.node, name, closure.site(f), fields, span, n)
end

--- Pairs of each key and the array of its values in the window, the oldest batch first.
---
---     clicks:groupByKeyAndWindow("30s", "10s"):mapValues(function(pages) return pages[#pages] end):print()
---
--- As in Spark 0.9.
---@param length number|string duration, a multiple of this stream's slide duration
---@param slide? number|string duration, likewise; default this stream's slide duration
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.DStream
function DStream:groupByKeyAndWindow(length, slide, n)
    local scope = operators.begin(self, "groupByKeyAndWindow")
    local name, site = "groupByKeyAndWindow", check.site()
    local span = spans(self, name, 1, length, slide, true)
    n = operators.partitioning(self, 3, name, n)
    local group = { kind = "group" }
    local groups = operators.shuffle(self.node, name, site, "hash", n, { kind = "route" }, group, group)
    return scope.wrap(groups:mergeWindow(span.length, span.slide, n.count, operators.descriptor("concatLists", name, site)))
end

handles.add { DStream = DStream }
