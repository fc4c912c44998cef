-- What a window costs: three pipelines over the same batches on clocks moved by hand, in one process.
--
--     moontide run spec/bench/windows.lua <keys> <records> <batches>
--
-- count: map, reduceByKey, and the result counted. window and inverse: the same with reduceByKeyAndWindow over 30 s, sliding by
-- 1 s, without and with an inverse function. Batches are 1 s, `records` words each, drawn evenly from `keys` different ones:
-- the worst there is for a window, because nearly every key changes in every batch. The words are in the engine's blocks before
-- the clock starts, and the window is full before anything is measured. The three take turns, batch by batch, on one engine, so
-- that whatever else the machine does meets all of them. Prints "pipeline wall-seconds cpu-seconds" for each batch; the CPU time is that of
-- all threads.

local moontide = require "moontide"
local loop = require "moontide.driver.loop"
local streaming = require "moontide.streaming"
local clock = require("moontide.lineserver").clock

local keys, records, batches = tonumber(arg[1]), tonumber(arg[2]), tonumber(arg[3])

local WINDOW, SLIDE = 30, 1 -- batches
local DATASETS = 8          -- different ones, used in turn
local WARM_UP = 40          -- batches
local BATCH = 1000          -- ms

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function pair(word) return word, 1 end

local names = { "count", "window", "inverse" }
local pipelines = {}

function pipelines.count(words) return words:reduceByKey(add) end

function pipelines.window(words) return words:reduceByKeyAndWindow(add, WINDOW * BATCH, SLIDE * BATCH) end

function pipelines.inverse(words)
    return words:reduceByKeyAndWindow(add, subtract, WINDOW * BATCH, SLIDE * BATCH)
end

-- The same words everywhere, whatever generator the C library has.
local function random_words(seed)
    local state, list = seed, {}
    for index = 1, records do
        state = state * 16807 % 2147483647
        list[index] = "word" .. state % keys
    end
    return list
end

-- One engine for all: a loop that serves several would look at one after the other.
local sc = moontide.Context("local[2]", "bench")
local queue = {}
for index = 1, DATASETS do
    queue[index] = sc:parallelize(random_words(index), 2)
end
for index = DATASETS + 1, WARM_UP + batches do
    queue[index] = queue[index - DATASETS]
end

local function start(name, folder)
    local ssc = streaming.create(sc, BATCH, { clock = "manual", start = 0 })
    ssc:checkpoint(folder)
    local job = { name = name, ssc = ssc, counted = 0 }
    pipelines[name](ssc:queueStream(queue):map(pair)):foreachRDD(function(rdd) job.counted = rdd:count() end)
    ssc:start()
    return job
end

local function run_batch(job)
    local life = job.ssc.life
    life.graph:advance(BATCH)
    loop.run_until(function() return life.tasks == 0 and life.graph:idle() end)
end

local folder = os.tmpname()
os.remove(folder)
assert(os.execute("mkdir '" .. folder .. "'") == 0)

local jobs = {}
for index, name in ipairs(names) do
    jobs[index] = start(name, folder)
end
local lines = {}
for batch = 1, WARM_UP + batches do
    for turn = 1, #jobs do
        -- Another one begins each time: words that the workers have met just before are cheaper for the next.
        local job = jobs[(turn + batch) % #jobs + 1]
        local started, cpu = clock(), os.clock()
        run_batch(job)
        if batch > WARM_UP then
            lines[#lines + 1] = string.format("%s %.6f %.6f", job.name, clock() - started, os.clock() - cpu)
        end
    end
end
for _, job in ipairs(jobs) do
    job.ssc:stop(false)
end
sc:stop()
os.execute("rm -r '" .. folder .. "'")
assert(jobs[1].counted > 0 and jobs[2].counted >= jobs[1].counted and jobs[3].counted == jobs[2].counted)
print(table.concat(lines, "\n"))
