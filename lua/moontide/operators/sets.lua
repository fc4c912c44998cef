--- Operators of datasets with one another, and on records by their position: cartesian, zip, zipPartitions, zipWithIndex … and pipe.

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local closure = require "moontide.closure"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local process = require "moontide.worker.process"
local totals = require "moontide.operators.totals"

---@class moontide.RDD
local RDD = {}

local function check_other(rdd, index, name, other)
    check.handle(index, name, other, getmetatable(rdd))
    if other.scope ~= rdd.scope then
        check.fail("bad argument #%d to '%s' (it belongs to another Context)", index, name)
    end
    return other
end

-- Both sides partition by partition: as many partitions on both.
local function check_alike(rdd, index, name, other)
    check_other(rdd, index, name, other)
    local here, there = rdd.node:partitions(), other.node:partitions()
    if here ~= there then
        check.fail("bad argument #%d to '%s' (the datasets have %d and %d partitions; repartition one of them)", index, name,
            here, there)
    end
    return other
end

--- Every record here with every record of `other`, as pairs. A record that is a pair itself becomes {k, v} in there.
--- There are as many partitions as the product of both numbers.
---
---     sc:parallelize({ 1, 2 }):cartesian(sc:parallelize({ "a", "b" })):count()  --> 4
---
--- More than 100,000 partitions are an error. As in Spark 0.9.
---@param other moontide.RDD of the same context
---@return moontide.RDD
function RDD:cartesian(other)
    local scope = operators.begin(self, "cartesian")
    check_other(self, 1, "cartesian", other)
    local partitions = self.node:partitions() * other.node:partitions()
    if partitions > check.MAX_PARTITIONS then
        check.fail("'cartesian': the product would have %.0f partitions, more than %d; coalesce the datasets first",
            partitions, check.MAX_PARTITIONS)
    end
    local op = operators.descriptor("cartesian", "cartesian", check.site())
    return scope.wrap(self.node:cartesian(other.node, op))
end

--- Pairs of the first records of both datasets, the second ones, and so on. A record that is a pair itself becomes {k, v}
--- in there.
---
---     sc:parallelize({ "a", "b" }, 1):zip(sc:parallelize({ 1, 2 }, 1)):collect()  --> { { "a", 1 }, { "b", 2 } }
---
--- Both need as many partitions (an error at the call) and as many records in each (an error of the job).
--- As in Spark 0.9.
---@param other moontide.RDD of the same context
---@return moontide.RDD
function RDD:zip(other)
    local scope = operators.begin(self, "zip")
    check_alike(self, 1, "zip", other)
    local op = operators.descriptor("zip", "zip", check.site())
    return scope.wrap(self.node:zip({ other.node }, op, false))
end

--- Applies `f` to the iterators of the partitions of this dataset and of others; it returns an array or an iterator.
---
---     sc:parallelize({ 1, 2 }, 1):zipPartitions(sc:parallelize({ 10, 20 }, 1), function(xs, ys)
---         return function()
---             local x, y = xs(), ys()
---             return x and x + y
---         end
---     end):collect()  --> { 11, 22 }
---
--- As in Spark 0.9.
---@param others moontide.RDD|moontide.RDD[] with as many partitions, of the same context
---@param f fun(...: function): any gets one iterator for each dataset
---@param preservesPartitioning? boolean true promises that keys stay in their partition, default false
---@return moontide.RDD
function RDD:zipPartitions(others, f, preservesPartitioning)
    local scope = operators.begin(self, "zipPartitions")
    local list = getmetatable(others) == getmetatable(self) and { others } or check.array(1, "zipPartitions", others)
    local nodes = {}
    for index, other in ipairs(list) do
        nodes[index] = check_alike(self, 1, "zipPartitions", other).node
    end
    local fn = operators.package(2, "zipPartitions", f)
    local keeps = check.boolean(3, "zipPartitions", preservesPartitioning, false)
    local op = operators.descriptor("zipPartitions", "zipPartitions", closure.site(f), { fn = fn })
    return scope.wrap(self.node:zip(nodes, op, keeps))
end

-- Pairs (record, number): the i-th record of partition p gets starts[p] + i * step, from 0.
local function numbered(handle, name, starts, step)
    local scope = operators.begin(handle, name)
    local number = operators.own(name, function(index, it)
        local next_number = (starts and starts[index + 1] or starts == nil and index) - step
        return function()
            local a, b = it()
            if a == nil then
                return nil
            end
            next_number = next_number + step
            if b ~= nil then
                a = { a, b }
            end
            return a, next_number
        end
    end)
    return scope.wrap(operators.narrow(handle, "mapPartitionsWithIndex", name, check.site(), { fn = number }))
end

--- Pairs (record, index), counting from 0 in the order of partitions and of records in them. A record that is a pair
--- becomes {k, v} in there. With more than one partition, the records are counted by a job at the call.
---
---     sc:parallelize({ "a", "b", "c" }):zipWithIndex():collect()  --> { { "a", 0 }, { "b", 1 }, { "c", 2 } }
---
--- As in Spark 1.0.
---@return moontide.RDD
function RDD:zipWithIndex()
    local scope = handles.begin(self, handles.RDD, "zipWithIndex")
    local count = self.node:partitions()
    local starts = { 0 }
    if count > 1 then
        local chosen = {}
        for index = 0, count - 2 do
            chosen[index + 1] = index
        end
        local sizes = actions.collect(scope, totals.of_partitions(self, check.site()), chosen)
        for index, size in ipairs(sizes) do
            starts[index + 1] = starts[index] + size
        end
    end
    return numbered(self, "zipWithIndex", starts, 1)
end

--- Pairs (record, number) with numbers that are unique but not consecutive: the k-th of n partitions gets k, n + k,
--- 2n + k … No job is needed.
---
---     sc:parallelize({ "a", "b", "c" }, 2):zipWithUniqueId():collect()  --> { { "a", 0 }, { "b", 1 }, { "c", 3 } }
---
--- As in Spark 1.0.
---@return moontide.RDD
function RDD:zipWithUniqueId()
    handles.begin(self, handles.RDD, "zipWithUniqueId")
    return numbered(self, "zipWithUniqueId", nil, self.node:partitions())
end

local function check_environment(env)
    if env == nil then
        return nil
    end
    if type(env) ~= "table" or check.type_name(env) ~= "table" then
        check.bad_argument(2, "pipe", "table of environment variables", env)
    end
    for name, value in pairs(env) do
        if type(name) ~= "string" or not name:find("^[%a_][%w_]*$") then
            check.fail("bad argument #2 to 'pipe' (%s is not the name of an environment variable)", tostring(name))
        elseif type(value) ~= "string" and type(value) ~= "number" then
            check.fail("bad argument #2 to 'pipe' (%s: text expected, got %s)", name, check.type_name(value))
        end
    end
    return env
end

local function check_command(command)
    if type(command) == "string" then
        return check.text(1, "pipe", command, true)
    end
    check.array(1, "pipe", command)
    if #command == 0 then
        check.fail("bad argument #1 to 'pipe' (the command is empty)")
    end
    for index, word in ipairs(command) do
        if type(word) ~= "string" then
            check.fail("bad argument #1 to 'pipe' (word %d: string expected, got %s)", index, check.type_name(word))
        end
    end
    return process.quoted(command)
end

--- Sends the records of each partition, as lines of text, through a command of the system; the lines that it writes are
--- the new records.
---
---     lines:pipe("grep -c ERROR")
---     lines:pipe({ "tr", "a-z", "A-Z" }, { LC_ALL = "C" })
---
--- A command that ends with a status other than 0 fails the job. Ctrl-C does not reach commands, so that a graceful stop can
--- finish what they have begun; when its task is over, or this program ends in whatever way, a command is ended with all
--- that it started (SIGTERM, after a second SIGKILL). As in Spark 0.9.
---@param command string|string[] for /bin/sh; or the program and its arguments, taken as they are
---@param env? table<string, string|number> environment variables to add, default none
---@return moontide.RDD
function RDD:pipe(command, env)
    local scope = operators.begin(self, "pipe")
    local line = check_command(command)
    local variables = check_environment(env)
    local run = operators.own("pipe", function(it) return process.pipe(line, variables, it) end)
    return scope.wrap(operators.narrow(self, "mapPartitions", "pipe", check.site(), { fn = run }))
end

handles.add { RDD = RDD }
