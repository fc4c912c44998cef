-- Stores counts in a database: the workers write, over one connection for each partition, and a batch that is written
-- twice does not count twice.
--
-- Shows: foreachRDD with work in the workers, and its second argument. foreachRDD runs at least once for each batch: after a
-- crash a batch runs again, and it has the same time then. So the time is part of every key, and of the name of the
-- transaction: writing again replaces. A connection cannot travel, so it is opened where it is used, once for each
-- partition. (An output that has each batch stored once by itself is saveTo: see sqlite_counts.lua.)
-- The database here is a directory with a file for each transaction. Another one is used in the same way: connect, replace
-- the rows of this time and partition, commit.
--
--     moontide run examples/database_sink.lua [directory]
--
-- Prints the rows of the database, with the number of the batch in place of its time; the second batch was written twice.
-- Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local database = arg[1] or io.popen("mktemp -d"):read("*l")
assert(os.execute("mkdir -p '" .. database .. "'") == 0)

-- A transaction appears as a whole or not at all: it is written under another name first. One of the same name is replaced.
local function connect(path, transaction)
    local final = path .. "/" .. transaction
    local file = assert(io.open(final .. ".tmp", "w"))
    return {
        insert = function(...) file:write(table.concat({ ... }, "\t"), "\n") end,
        commit = function()
            assert(file:close())
            assert(os.rename(final .. ".tmp", final))
        end,
    }
end

local ssc = moontide.StreamingContext("local[2]", "DatabaseSink", "50ms")

local counts = ssc:queueStream({ { "ebb", "flow", "ebb" }, { "flow", "neap" } }):countByValue(2)

local function store(rdd, time)
    -- An action runs the function in the workers; collect also gives what they return.
    rdd:mapPartitionsWithIndex(function(partition, rows)
        local connection = connect(database, string.format("batch%.0f-%d", time, partition))
        local written = 0
        for word, count in rows do
            connection.insert(string.format("%.0f", time), word, count)
            written = written + 1
        end
        connection.commit()
        return { written }
    end):collect()
end

local times = {}
counts:foreachRDD(function(rdd, time)
    store(rdd, time)
    times[#times + 1] = time
    if #times == 2 then
        store(rdd, time) -- as after a crash between the commit and the end of the batch
        ssc:stop(false)
    end
end)

ssc:start()
ssc:awaitTermination()

local number = {}
for index, time in ipairs(times) do
    number[string.format("%.0f", time)] = index
end
local rows = ssc.sc:textFile(database .. "/batch*"):sortBy(function(row) return row end)
for row in rows:toLocalIterator() do
    local time, word, count = row:match("^(.-)\t(.-)\t(.-)$")
    print(number[time], word, count)
end
ssc:stop()

if not arg[1] then
    os.execute("rm -r '" .. database .. "'")
end

--[[ prints:
1	ebb	2
1	flow	1
2	flow	1
2	neap	1
]]
