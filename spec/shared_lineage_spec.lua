-- Datasets that are used more than once in what they lead to: chains whose lineage has n nodes but 2^n ways. The work of the
-- driver and of workers grows with the nodes.

local engine = require "spec.support.engine"

local function sum(list)
    local total = 0
    for _, x in ipairs(list) do total = total + x end
    return total
end

describe("a dataset that is used more than once", function()
    engine.watch(after_each)

    local N = 60 -- with 2^60 of anything this would not end

    local function numbers(sc, partitions)
        return sc:range(0, 40, 1, partitions or 2):map(function(n) return n % 10, n end):reduceByKey(function(a, b) return a + b end, 2)
    end

    local function sums(rdd)
        local result = {}
        for _, pair in ipairs(rdd:collect()) do result[#result + 1] = pair[1] .. "=" .. tostring(pair[2]) end
        table.sort(result)
        return table.concat(result, " ")
    end

    it("is computed once in a chain of joins with itself", function()
        local sc = engine.context()
        local rdd = numbers(sc)
        local expected = sums(rdd)
        for _ = 1, N do rdd = rdd:join(rdd):mapValues(function(pair) return pair[1] end) end
        assert.equal(expected, sums(rdd))
        local text = rdd:toDebugString()
        assert(select(2, text:gsub("\n", "\n")) < 5 * N, "the lineage has too many lines")
    end)

    it("is computed once in a chain of unions with itself that are reduced", function()
        local sc = engine.context()
        local rdd = numbers(sc)
        local expected = sums(rdd)
        for _ = 1, N do rdd = rdd:union(rdd):reduceByKey(math.min) end
        assert.equal(expected, sums(rdd))
    end)

    it("is computed once in chains of zip, subtract, cogroup and intersection", function()
        local sc = engine.context()
        local zipped = sc:parallelize({ 1, 2, 3, 4 }, 2)
        for _ = 1, N do zipped = zipped:zip(zipped):map(function(a, b) return (a + b) / 2 end) end
        assert.same({ 1, 2, 3, 4 }, zipped:collect())
        local grouped = numbers(sc)
        local expected = sums(grouped)
        for _ = 1, N do
            grouped = grouped:cogroup(grouped):mapValues(function(sides) return sides[1][1] end)
        end
        assert.equal(expected, sums(grouped))
        local left = numbers(sc)
        for _ = 1, N do left = left:subtractByKey(left:filter(function(key) return key == 3 end)) end
        assert.equal(9, left:count())
    end)

    it("is computed once when all that is made of it is read together", function()
        local sc = engine.context()
        local rdd = numbers(sc)
        local expected = sums(rdd)
        local function same(n) return n end
        local function more(n) return n + 1 end
        for _ = 1, N do
            rdd = rdd:mapValues(same):cogroup(rdd:mapValues(more), rdd:mapValues(same)):mapValues(function(sides)
                return sides[1][1] - sides[2][1] + sides[3][1] + 1
            end)
        end
        assert.equal(expected, sums(rdd))
    end)

    it("may be followed by a union: each record as often as it is in it", function()
        local sc = engine.context()
        local rdd = numbers(sc)
        for _ = 1, 12 do rdd = rdd:union(rdd) end
        assert.equal(10 * 2 ^ 12, rdd:map(function(_, n) return n end):count())
        assert.equal(780 * 2 ^ 12, rdd:map(function(_, n) return n end):sum())
    end)

    it("is read at its own partition and with its number, whatever reads it", function()
        local sc = engine.context()
        local function numbered(rdd)
            return rdd:mapPartitionsWithIndex(function(index, it)
                local list = {}
                for key, n in it do list[#list + 1] = { key, index, n } end
                return list
            end)
        end
        local base = numbers(sc)
        local joined = base:join(base):mapValues(function(pair) return pair[1] end)
        local twice = joined:join(joined):mapValues(function(pair) return pair[2] end)
        local plain = {}
        for _, record in ipairs(numbered(base):collect()) do plain[#plain + 1] = table.concat(record, ",") end
        for _, rdd in ipairs({ joined, twice }) do
            local got = {}
            for _, record in ipairs(numbered(rdd):collect()) do got[#got + 1] = table.concat(record, ",") end
            table.sort(got)
            table.sort(plain)
            assert.same(plain, got)
        end
        -- In one task: both partitions, twice each, a part of them unread.
        local both = numbered(twice):union(numbered(joined)):coalesce(1)
        local counts = { [0] = 0, [1] = 0 }
        for _, record in ipairs(both:collect()) do counts[record[2]] = counts[record[2]] + 1 end
        assert.equal(20, counts[0] + counts[1])
        local unread = joined:mapPartitions(function() return {} end):union(
            twice:mapPartitionsWithIndex(function(index, it)
                local n = 0
                for _ in it do n = n + 1 end
                return { index * 100 + n }
            end)):coalesce(1)
        assert.equal(100 + 10, sum(unread:collect()))
    end)
end)
