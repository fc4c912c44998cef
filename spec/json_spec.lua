-- JSON documents through cjson and dkjson: what the library's own decode → encode gives comes out also with a shuffle, a state, a cache
-- and a file in between.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local cjson = require "cjson"
local dkjson = require "dkjson"
local random = require "moontide.base.random"
local tempdir = require "spec.support.tempdir"

local DOCUMENTS = 1000

-- A generator of documents, as text: objects have each key once.
local function generator(seed)
    local draw = random.new(seed, 0)
    local function below(n) return math.floor(draw() * n) + 1 end
    local function pick(list) return list[below(#list)] end

    local texts = { '""', '"ebb"', '"\\u00e9\\u20ac"', '"é€😀"', '"\\ud83d\\ude00"', '"a\\"b\\\\c\\/d"', '"\\b\\f\\n\\r\\t"', '"\\u0000x"',
        '"null"', '"[]"', '"1"', '"' .. ("long "):rep(60) .. '"' }
    local numbers = { "0", "1", "-1", "127", "128", "255", "256", "-129", "65535", "65536", "2147483647", "-2147483648", "4294967296",
        "9007199254740991", "9007199254740993", "717438855724142592", "-9223372036854775808", "18446744073709551615", "0.1", "-2.5",
        "1e3", "1E-7", "1.5e300", "3.141592653589793", "-0.0", "1530239065.807368" }
    local keys = { "a", "b", "key with spaces", "", "é", "1", "n2", "__jsontype", "x.y", "length", "K\\u00fc" }

    local value
    local function array(depth)
        local parts = {}
        for at = 1, below(6) - 1 do parts[at] = value(depth + 1) end
        return "[" .. table.concat(parts, ",") .. "]"
    end
    local function object(depth)
        local parts, seen = {}, {}
        for _ = 1, below(6) - 1 do
            local key = pick(keys)
            if not seen[key] then
                seen[key] = true
                parts[#parts + 1] = '"' .. key .. '":' .. value(depth + 1)
            end
        end
        return "{" .. table.concat(parts, ", ") .. "}"
    end
    function value(depth)
        local kind = below(depth > 5 and 5 or 8)
        if kind == 1 then return pick(texts) end
        if kind == 2 then return pick(numbers) end
        if kind == 3 then return pick { "true", "false" } end
        if kind == 4 then return "null" end
        if kind == 5 then return pick { "[]", "{}", "[ ]", "[[]]", "[{}]", '{"e":[]}', '{"e":{}}', "[null]", "[null,1]", '{"n":null}' } end
        return kind == 6 and object(depth) or array(depth)
    end
    return function() return value(0) end
end

-- Encoded with the keys of objects in order, so that texts can be compared: pairs() has no order of its own.
local ORDER = {}
for _, key in ipairs { "", "1", "K\195\188", "__jsontype", "a", "b", "e", "key with spaces", "length", "n", "n2", "x.y", "\195\169" } do
    ORDER[#ORDER + 1] = key
end

local libraries = {
    cjson = {
        decode = function(text) return require("cjson").decode(text) end,
        encode = function(value) return require("cjson").encode(value) end,
        -- cjson has no order of keys: read again, and written by dkjson, which tells arrays, objects and null apart.
        canonical = function(text) return dkjson.encode(dkjson.decode(text, 1, dkjson.null), { keyorder = ORDER }) end,
    },
    dkjson = {
        decode = function(text)
            local json = require "dkjson"
            return (json.decode(text, 1, json.null))
        end,
        encode = function(value) return require("dkjson").encode(value) end,
        canonical = function(text) return dkjson.encode(dkjson.decode(text, 1, dkjson.null), { keyorder = ORDER }) end,
    },
    ["dkjson without nulls"] = {
        decode = function(text)
            local value = require("dkjson").decode(text)
            if value == nil then return "null" end -- nil is no record
            return value
        end,
        encode = function(value) return require("dkjson").encode(value) end,
        canonical = function(text) return dkjson.encode(dkjson.decode(text, 1, dkjson.null), { keyorder = ORDER }) end,
    },
}

describe(DOCUMENTS .. " JSON documents", function()
    engine.watch(after_each)

    for name, library in pairs(libraries) do
        it("come through a shuffle, a state and an object file as from the library alone: " .. name, function()
            local seed = os.time()
            local draw, inputs, expected = generator(seed), {}, {}
            for at = 1, DOCUMENTS do
                inputs[at] = { at, draw() }
                expected[at] = library.canonical(library.encode(library.decode(inputs[at][2])))
            end
            local dir = tempdir.new()
            finally(function() dir:remove() end)
            local decode, encode = library.decode, library.encode

            local ssc = engine.streaming(1000)
            local sc = ssc.sc
            ssc:checkpoint(dir:file("checkpoint"))
            local states = ssc:queueStream({ sc:parallelizePairs(inputs, 4), {} })
                :map(function(id, text) return id, decode(text) end)
                :repartition(3)
                :groupByKey(2)
                :updateStateByKey(function(new, state)
                    if new[1] == nil then return state end
                    return new[1][1]
                end)
            states:saveAsObjectFiles(dir:file("states"))
            ssc:start()
            engine.advance(ssc)
            engine.advance(ssc)

            local read = sc:objectFile(dir:file("states-2000")):persist()
            read:count()
            local texts = read:map(function(id, value) return id, encode(value) end):collect()
            assert.equal(DOCUMENTS, #texts)
            for _, pair in ipairs(texts) do
                local id, text = pair[1], library.canonical(pair[2])
                assert(text == expected[id], ("seed %d, document %s:\nalone   %s\nthrough %s"):format(seed, inputs[id][2],
                    expected[id], text))
            end
        end)
    end
end)

describe("whole numbers of 64 bits and nulls that are made by hand", function()
    engine.watch(after_each)

    it("come through the same ways", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local sc = engine.context("local[2]")
        local made = sc:parallelize({ 1, 2, 3 }, 3):map(function(i)
            return i, { id = 9007199254740993LL + i, top = 18446744073709551615ULL, least = -9223372036854775807LL - 1LL,
                none = { moontide.null, require("dkjson").null, require("cjson").null } }
        end)
        made:groupByKey(2):persist():saveAsObjectFile(dir:file("made"))
        local read = sc:objectFile(dir:file("made")):collect()
        assert.equal(3, #read)
        for _, pair in ipairs(read) do
            local record = pair[2][1]
            assert.equal("cdata", type(record.id))
            assert.is_true(record.id == 9007199254740993LL + pair[1])
            assert.is_true(record.top == 18446744073709551615ULL)
            assert.is_true(record.least == -9223372036854775807LL - 1LL)
            for at = 1, 3 do assert.is_true(record.none[at] == moontide.null) end
            assert.equal("[null,null,null]", dkjson.encode(record.none))
            assert.equal("[null,null,null]", cjson.encode(record.none))
        end
    end)
end)
