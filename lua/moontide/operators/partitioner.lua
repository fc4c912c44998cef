--- Partitioners: which partition of a dataset a key belongs to. Operators by key take one in place of a number of partitions.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local fast = require "moontide.wire.ffi"
local memory = require "moontide.base.memory"
local number_text = require "moontide.base.number_text"
local shared = require "moontide.driver.shared"

local partitioner = {}

--- Which partition the pairs of a key belong to. Taken by partitionBy, reduceByKey, groupByKey, the joins and all other operators
--- by key in place of a number of partitions. Two partitioners are equal (`==`) when they have the same number of partitions
--- and the same identity; datasets with equal ones are joined without a shuffle.
---@class moontide.Partitioner
---@field count integer
---@field package string|false of the function; false: by the hash of the key
---@field identity string|false
---@field descriptor string|false what the core keeps
---@field site string|false
---@field broadcasts? ffi.cdata* the broadcast variables that the function uses
local Partitioner = {}

local class = check.class("Partitioner", "a", Partitioner, {})
partitioner.class = class

function class.__eq(a, b)
    return a.count == b.count and a.identity == b.identity
end

function class.__tostring(self)
    return ("Partitioner (%d partition%s, by %s)"):format(self.count, self.count == 1 and "" or "s",
        self.site and "the function of " .. self.site or "key hash")
end

local function by_hash_in(count)
    return setmetatable({ count = count, package = false, identity = false, descriptor = false, site = false }, class)
end

local function of_function(count, package, identity, site)
    return setmetatable({
        broadcasts = shared.references(package),
        count = count, package = package, identity = identity, site = site,
        descriptor = codec.pack { fn = package, identity = identity, site = site },
    }, class)
end

--- Makes a partitioner.
---
---     local by_user = moontide.Partitioner(4, function(key) return #key.user end)
---     visits:partitionBy(by_user)
---
--- `f` gets a key and returns a whole number, negative ones too; the partition is its remainder by `n`. Without `f`, keys are spread
--- by their hash, as operators by key do that are given a number. The identity is the content of `f`, with the variables that it
--- uses, unless `id` names it. As in Spark 0.9 (Partitioner, HashPartitioner).
---@param n integer partitions, 1 to 100,000
---@param f? fun(key: any): integer default: the hash of the key
---@param id? string|number what makes it equal to another one, default the content of `f`
---@return moontide.Partitioner
function partitioner.constructor(n, f, id)
    check.partitions(1, "Partitioner", n)
    if f == nil then
        if id ~= nil then
            check.fail("bad argument #3 to 'Partitioner' (an id goes with a function)")
        end
        return by_hash_in(n)
    end
    check.func(2, "Partitioner", f)
    if id ~= nil and type(id) ~= "string" and type(id) ~= "number" then
        check.bad_argument(3, "Partitioner", "string or number", id)
    end
    local package, message = closure.try_pack(f, "Partitioner", "f")
    if not package then
        check.fail("%s", message)
    end
    return of_function(n, package, id ~= nil and "id " .. type(id) .. " " .. id or "f " .. package, closure.site(f))
end

--- How many partitions there are.
---
---     moontide.Partitioner(4):numPartitions()  --> 4
---
--- As in Spark 0.9.
---@return integer
function Partitioner:numPartitions()
    check.self(self, class, "numPartitions")
    return self.count
end

local functions = setmetatable({}, { __mode = "k" }) -- loaded from their packages, by partitioner

-- The partition of `n` that a key's hash says.
local function by_hash(packed, n)
    local index = fast.C.tide_hash_partition(fast.ffi.cast("const uint8_t *", packed), #packed, n)
    return index -- no tail call: the frame keeps `packed` alive until the answer is there
end

--- The bytes of a key, argument 1 of `method`; raises for what cannot be one.
---@param method string
---@param key any
---@return string packed
function partitioner.packed_key(method, key)
    if key == nil or key ~= key then
        check.fail("bad argument #1 to '%s' (a key is never %s)", method, key == nil and "nil" or "NaN")
    end
    local ok, packed = pcall(codec.pack_key, key)
    if not ok then
        memory.rethrow(packed)
        check.fail("bad argument #1 to '%s' (%s)", method, check.without_position(packed))
    end
    return packed
end

--- The partition, from 0, that a key belongs to.
---
---     moontide.Partitioner(3, function(key) return key end):getPartition(-1)  --> 2
---
--- An error for a key that cannot be one (nil, NaN), and where the function returns no whole number. As in Spark 0.9.
---@param key any
---@return integer from 0 to numPartitions() - 1
function Partitioner:getPartition(key)
    check.self(self, class, "getPartition")
    local packed = partitioner.packed_key("getPartition", key)
    if not self.package then
        return by_hash(packed, self.count)
    end
    local f = functions[self]
    if not f then
        f = assert(require("moontide.closure.unpack").session():load(self.package))
        functions[self] = f
    end
    local at, more = f(codec.unpack(packed))
    if more ~= nil then
        check.fail("'getPartition': %s: %s", self.site, require("moontide.worker.surplus").two(at, more))
    end
    if check.not_integer(at, -math.huge, math.huge) then
        check.fail("'getPartition': the partitioner's function (%s) returned %s; it must return a whole number", self.site,
            type(at) == "number" and number_text(at) or check.type_name(at))
    end
    return at % self.count
end

--- By key hash in `n` partitions.
---@param n integer
---@return moontide.Partitioner
function partitioner.by_hash(n)
    return by_hash_in(n)
end

--- What a dataset is partitioned by; nil when it is not partitioned by key.
---@param node userdata dataset of the core
---@return moontide.Partitioner?
function partitioner.of(node)
    local count, descriptor = node:keyPartitions(), node:partitioner()
    if count == 0 then
        return nil
    end
    if not descriptor then
        return by_hash_in(count)
    end
    local fields = codec.unpack(descriptor)
    return of_function(count, fields.fn, fields.identity, fields.site)
end

--- Argument `index` of the operator `name`: a number of partitions or a partitioner; nil gives `default`.
---@param index integer
---@param name string
---@param value any
---@param default moontide.Partitioner
---@return moontide.Partitioner
function partitioner.argument(index, name, value, default)
    if value == nil then
        return default
    end
    if getmetatable(value) == class then
        return value
    end
    if type(value) == "function" then
        check.fail("bad argument #%d to '%s' (number of partitions or partitioner expected, got function; write "
            .. "moontide.Partitioner(n, f))", index, name)
    end
    return by_hash_in(check.partitions(index, name, value))
end

return partitioner
