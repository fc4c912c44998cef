-- What is measured: the closures, the pipeline around them, and the same closures in a hand-written loop.
--
-- `pipeline(lines)` takes a dataset or a stream. `finish(rdd)` brings the result of a dataset to the driver and
-- returns a number that tells whether it is right. `loop(lines)` is the hand-written program: `lines` is an
-- iterator.

local workloads = {}

local function split(line)
    return line:gmatch("%S+")
end

local function pair(word)
    return word, 1
end

local function add(a, b)
    return a + b
end

local function is_error(line)
    return line:find("ERROR", 1, true) ~= nil
end

local function page(line)
    return line:match("(/item/%d+)"), 1
end

local function swap(key, count)
    return count, key
end

local function sum_of_counts(pairs_of_counts)
    local total = 0
    for _, count in pairs(pairs_of_counts) do
        total = total + count
    end
    return total
end

workloads.wordcount = {
    input = "words",
    pipeline = function(lines) return lines:flatMap(split):map(pair):reduceByKey(add) end,
    finish = function(rdd) return sum_of_counts(rdd:collectAsMap()) end,
    loop = function(lines)
        local counts = {}
        for line in lines do
            for word in split(line) do
                local key, value = pair(word)
                local old = counts[key]
                counts[key] = old and add(old, value) or value
            end
        end
        return sum_of_counts(counts)
    end,
}

workloads.grep = {
    input = "logs",
    pipeline = function(lines) return lines:filter(is_error) end,
    finish = function(rdd) return rdd:count() end,
    loop = function(lines)
        local count = 0
        for line in lines do
            if is_error(line) then
                count = count + 1
            end
        end
        return count
    end,
}

workloads.topk = {
    input = "logs",
    pipeline = function(lines) return lines:map(page):reduceByKey(add) end,
    finish = function(rdd)
        local best = rdd:map(swap):sortByKey(false):take(10)
        return best[1] and best[1][1] or 0
    end,
    loop = function(lines)
        local counts = {}
        for line in lines do
            local key, value = page(line)
            local old = counts[key]
            counts[key] = old and add(old, value) or value
        end
        local ranked = {}
        for key, count in pairs(counts) do
            ranked[#ranked + 1] = { swap(key, count) }
        end
        table.sort(ranked, function(a, b) return a[1] > b[1] end)
        return ranked[1][1]
    end,
}

workloads.count = {
    input = "words",
    pipeline = function(lines) return lines:flatMap(split) end,
    finish = function(rdd) return rdd:count() end,
    loop = function(lines)
        local count = 0
        for line in lines do
            for _ in split(line) do
                count = count + 1
            end
        end
        return count
    end,
}

--- The order in which they are run and shown.
workloads.names = { "wordcount", "grep", "topk", "count" }

--- What they are, for people.
workloads.titles = {
    wordcount = "word count", grep = "grep", topk = "top-k", count = "count (no keys)",
}

return workloads
