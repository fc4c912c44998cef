-- Stores counts in a database: the workers write, over one connection for each partition, and a batch that is written
-- twice does not count twice.
--
-- Shows: foreachRDD with work in the workers. A connection cannot travel, so it is opened where it is used, once for
-- each partition; rows go in one transaction; and the row's key holds the batch time, so writing again is harmless.
-- The database here is a directory with a file for each transaction. Another one is used in the same way: connect,
-- insert the rows, commit.
--
--     moontide run examples/database_sink.lua [directory]
--
-- Prints the rows of the database. Without a directory it uses a temporary one and removes it.

local moontide = require "moontide"

local database = arg[1] or io.popen("mktemp -d"):read("*l")
assert(os.execute("mkdir -p '" .. database .. "'") == 0)

-- A transaction appears as a whole or not at all: it is written under another name first.
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

local batches = 0
counts:foreachRDD(function(rdd)
    batches = batches + 1
    local batch = batches
    -- An action runs the function in the workers; collect also gives what they return.
    rdd:mapPartitionsWithIndex(function(partition, rows)
        local connection = connect(database, string.format("batch%d-%d", batch, partition))
        local written = 0
        for word, count in rows do
            connection.insert(batch, word, count)
            written = written + 1
        end
        connection.commit()
        return { written }
    end):collect()
    if batches == 2 then
        ssc:stop(false)
    end
end)

ssc:start()
ssc:awaitTermination()

local rows = ssc.sc:textFile(database .. "/batch*"):sortBy(function(row) return row end)
for row in rows:toLocalIterator() do
    print((row:gsub("\t", " ")))
end
ssc:stop()

if not arg[1] then
    os.execute("rm -r '" .. database .. "'")
end

--[[ prints:
1 ebb 2
1 flow 1
2 flow 1
2 neap 1
]]
