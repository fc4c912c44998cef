-- Keeps the counts of words in a SQLite database, each batch once.
--
-- Shows: saveTo, the sink of moontide.sqlite, and named. A batch is one transaction, which also stores the time of the batch under
-- the name of the output, so a batch that runs again is passed over. The counts are kept by the stream (updateStateByKey), and
-- a row replaces the one of the same word. Needs the library of SQLite, package libsqlite3-0 of Debian and Ubuntu.
--
--     moontide run examples/sqlite_counts.lua [database]
--
-- Prints the rows of the database after three batches. Without a path it uses a temporary one and removes it; with one,
-- `sqlite3 database 'SELECT * FROM moontide_commits'` shows what the sink has noted.

local moontide = require "moontide"
local sqlite = require "moontide.sqlite"

local directory = io.popen("mktemp -d"):read("*l")
local path = arg[1] or directory .. "/words.db"

local ssc = moontide.StreamingContext("local[2]", "SqliteCounts", "50ms")
ssc:checkpoint(directory)

local words = ssc:queueStream({ { "ebb", "flow", "ebb" }, { "flow", "neap" }, { "ebb" } })
local counts = words:map(function(word) return word, 1 end):updateStateByKey(function(ones, sum)
    return (sum or 0) + #ones
end):named("counts")

counts:saveTo(sqlite.sink { path = path, table = "counts", columns = { "word", "n" }, key = "word" })

local batches = 0
counts:foreachRDD(function()
    batches = batches + 1
    if batches == 3 then
        ssc:stop(true, true) -- gracefully: the sink gets every batch and is closed
    end
end)

ssc:start()
ssc:awaitTermination()

for _, row in ipairs(assert(sqlite.query(path, "SELECT word, n FROM counts ORDER BY word"))) do
    print(row[1], row[2])
end
for _, row in ipairs(assert(sqlite.query(path, "SELECT name, count(*) FROM moontide_commits"))) do
    print(row[1], row[2])
end

os.execute("rm -r '" .. directory .. "'")

--[[ prints:
ebb	3
flow	2
neap	1
counts	1
]]
