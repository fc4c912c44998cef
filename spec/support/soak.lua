-- A job that uses about everything that is kept from batch to batch, on a clock moved by hand: for the spec and the
-- benchmark that see whether memory stays flat.
--
--     local job = soak.start { socket = true }
--     job:run(1000)                    -- batches
--     local now = job:sample()         -- { batch=, blocks=, bytes=, rdds=, lua=, workers= }
--     job:stop()
--
-- Every batch brings 30 words, always the same ones after 200 batches, and with `socket` what a line server sends meanwhile.
-- Windows with and without an inverse, windows of windows, both kinds of state with their timeout, a join, a transform that
-- makes datasets and closures anew in each batch, an output that prints, a listener.

local moontide = require "moontide"
local checkpoint = require "moontide.driver.checkpoint"
local core = require "moontide.core"
local loop = require "moontide.driver.loop"
local streaming = require "moontide.streaming"

local soak = {}

local BATCH = 1000 -- ms

local Job = {}
Job.__index = Job

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function pair(word) return word, 1 end
local function not_zero(_, n) return n ~= 0 end

local function words_of_batch(number)
    local words = {}
    for index = 1, 30 do
        words[index] = "word" .. (number % 200 * 7 + index * index) % 300
    end
    return words
end

-- What print() would write.
local function shown(rdd, time)
    local lines = { "Time: " .. time }
    for index, record in ipairs(rdd:take(10)) do
        lines[index + 1] = type(record) == "table" and record[1] .. ", " .. tostring(record[2]) or tostring(record)
    end
    return table.concat(lines, "\n")
end

-- What the jobs do with the words: `output` registers a stream to be printed.
local outputs = {}

function outputs.window(words, output)
    output(words:map(pair):reduceByKeyAndWindow(add, 30 * BATCH, BATCH):mapValues(function(n) return n * 2 end))
end

function outputs.inverse(words, output)
    local inverse = words:map(pair):reduceByKeyAndWindow(add, subtract, 30 * BATCH, BATCH, nil, not_zero)
    output(inverse)
    output(inverse:reduceByKeyAndWindow(math.max, 5 * BATCH, 5 * BATCH))
end

function outputs.windows(words, output)
    output(words:countByWindow(10 * BATCH, 2 * BATCH))
    output(words:window(8 * BATCH, 4 * BATCH):countByValue())
end

function outputs.state(words, output)
    output(words:map(pair):updateStateByKey(function(values, state)
        local sum = (state or 0) + #values
        return sum < 50 and sum or nil
    end))
end

function outputs.visits(words, output)
    local visit = moontide.StateSpec.func(function(_, value, state)
        if state:isTimingOut() then
            return nil
        end
        state:update((state:getOption() or 0) + value)
        return state:get()
    end):timeout(20 * BATCH)
    output(words:map(pair):reduceByKey(add):mapWithState(visit))
end

function outputs.joined(words, output)
    local counts = words:map(pair):reduceByKey(add)
    output(counts:join(words:map(pair):groupByKey()))
    output(counts:transform(function(rdd, time)
        local factor = time / BATCH % 3
        return rdd:mapValues(function(n) return n * factor end):sortByKey()
    end))
end

function outputs.kept(words, _, job)
    words:map(pair):groupByKeyAndWindow(6 * BATCH, 3 * BATCH):foreachRDD(function(rdd)
        local kept = rdd:mapValues(function(list) return #list end):cache()
        job.printed = job.printed + kept:count() + #kept:collect()
    end)
end

local names = { "window", "inverse", "windows", "state", "visits", "joined", "kept" }

local function build(job, ssc, words, chosen)
    local function output(stream)
        stream:foreachRDD(function(rdd, time) job.printed = job.printed + #shown(rdd, time) end)
    end
    for _, name in ipairs(chosen or names) do
        outputs[name](words, output, job)
    end
    ssc:addStreamingListener {
        onBatchCompleted = function() job.completed = job.completed + 1 end,
        onOutputOperationCompleted = function() job.outputs = job.outputs + 1 end,
    }
end

---@param options { socket: boolean?, master: string?, outputs: string[]? } `outputs`: some of those above, default all
function soak.start(options)
    local job = setmetatable({ batch = 0, printed = 0, completed = 0, outputs = 0 }, Job)
    job.directory = assert(checkpoint.temporary())
    job.sc = moontide.Context(options.master or "local[2]", "soak")
    local ssc = streaming.create(job.sc, BATCH, { clock = "manual", start = 0 })
    ssc:checkpoint(job.directory)
    job.ssc, job.queue = ssc, ssc:queueStream {}
    local words = job.queue
    if options.socket then
        local lines = {}
        for index = 1, 200 do
            lines[index] = "line word" .. index .. " word" .. index * 7 % 300
        end
        job.server = assert(require("moontide.lineserver").start {
            text = table.concat(lines, "\n") .. "\n", rate = 5000, keep = true,
        })
        words = words:union(ssc:socketTextStream("127.0.0.1", job.server.port)
            :flatMap(function(line) return line:gmatch("%S+") end))
    end
    build(job, ssc, words, options.outputs)
    ssc:start()
    return job
end

--- Advances the clock by so many batches, one after the other.
function Job:run(batches)
    local life = self.ssc.life
    local function settled()
        return life.state ~= "ACTIVE" or life.tasks == 0 and life.graph:idle()
    end
    for _ = 1, batches do
        self.batch = self.batch + 1
        self.queue:push(words_of_batch(self.batch))
        life.graph:advance(BATCH)
        loop.run_until(settled)
        if life.state ~= "ACTIVE" then
            error(life.error or "the stream has stopped", 0)
        end
    end
end

-- Lua memory of a worker in kB, as a task there finds it.
local function worker_memory(sc)
    local most = 0
    local seen = sc:parallelize({ 1, 2, 3, 4 }, 4):map(function()
        collectgarbage()
        collectgarbage()
        return collectgarbage("count")
    end):collect()
    for _, kilobytes in ipairs(seen) do
        most = math.max(most, kilobytes)
    end
    return most
end

-- Collectors let go of a chain of handles link by link, and which worker gets the task that collects is chance: the
-- least of several looks is what is alive.
local LOOKS = 8

--- What is alive now: blocks and their bytes, datasets, Lua memory of the driver and (the largest) of a worker in kB.
function Job:sample()
    local least = { batch = self.batch, blocks = math.huge, bytes = math.huge, rdds = math.huge, lua = math.huge, workers = 0 }
    for _ = 1, LOOKS do
        least.workers = math.max(least.workers, worker_memory(self.sc))
        collectgarbage()
        collectgarbage()
        local blocks, bytes = core.liveBlocks()
        least.blocks, least.bytes = math.min(least.blocks, blocks), math.min(least.bytes, bytes)
        least.rdds = math.min(least.rdds, core.liveRdds())
        least.lua = math.min(least.lua, collectgarbage("count"))
    end
    return least
end

function Job:stop()
    self.ssc:stop()
    if self.server then
        self.server:stop()
    end
    checkpoint.remove(self.directory)
end

return soak
