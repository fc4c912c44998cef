-- The sink of moontide.sqlite on real files: what records become, what is refused, what is wrong with a file, and jobs that are killed
-- between any two steps of a write and started again.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local ffi = require "ffi"
local loop = require "moontide.driver.loop"
local moontide = require "moontide"
local shell = require "spec.support.shell"
local sqlite = require "moontide.sqlite"
local tempdir = require "spec.support.tempdir"

local message, streaming, advance = engine.message, engine.streaming, engine.advance

local directory, path
local function fresh_database()
    directory = tempdir.new()
    path = directory:file("test.db")
end

local function contains(text, part)
    assert(tostring(text):find(part, 1, true), ("'%s' is not in:\n%s"):format(part, tostring(text)))
end

local function line_here()
    return debug.getinfo(2, "l").currentline
end

-- The rows of a query as text: "ebb|2".
local function rows(sql)
    local lines = {}
    for index, row in ipairs(assert(sqlite.query(path, sql))) do
        local texts = {}
        for at = 1, table.maxn(row) do texts[at] = tostring(row[at]) end
        lines[index] = table.concat(texts, "|")
    end
    return lines
end

-- Another connection, for what scripts do to the database.
local function execute(sql, create)
    local connection = require "moontide.sqlite.connection"
    assert(connection.load())
    local db = connection.open(path, create ~= false and "create" or "read", 0)
    db:execute(sql)
    return db
end

local function run_sql(sql)
    execute(sql):close()
end

local function options(more)
    local made = { path = path, table = "t", columns = { "k", "v" } }
    for name, value in pairs(more or {}) do made[name] = value end
    return made
end

-- Runs batches of records through a sink. Returns the reasons of failed batches.
local function save(batches, more, change)
    local ssc = streaming(1000, { onError = "skip" })
    local stream = ssc:queueStream(batches)
    if change then stream = change(stream) end
    stream:saveTo(sqlite.sink(options(more)), { name = "out" })
    local reasons = {}
    ssc:addStreamingListener { onOutputOperationCompleted = function(info) reasons[#reasons + 1] = info.failureReason end }
    ssc:start()
    for _ = 1, #batches do advance(ssc) end
    assert(ssc:stop(false))
    return reasons
end

local function to_pairs(stream)
    return stream:map(function(record) return record[1], record[2] end)
end

local function watch()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)
    before_each(fresh_database)
    after_each(function() directory:remove() end)
end

describe("a sink for SQLite", function()
    watch()

    it("stores pairs by key and value, arrays by position, maps by name, others in one column", function()
        assert.same({}, save({ { { "ebb", 2 } } }, { table = "pairs" }, to_pairs))
        assert.same({}, save({ { { "ebb", 2, true }, { "flow" } } }, { table = "arrays", columns = { "word", "n", "new" } }))
        assert.same({}, save({ { { n = 2, word = "ebb", other = 7 }, { word = "flow" } } }, { table = "maps", columns = { "word", "n" } }))
        assert.same({}, save({ { "ebb", "flow" } }, { table = "words", columns = { "word" } }))
        assert.same({ "ebb|2" }, rows("SELECT k, v FROM pairs"))
    end)

    it("has a row for each record, and the time of the batch in the control table", function()
        save({ { { "a", 1 }, { "b", 2 } }, {}, { { "a", 3 } } }, nil, to_pairs)
        assert.same({ "a|1", "b|2", "a|3" }, rows("SELECT k, v FROM t ORDER BY rowid"))
        assert.same({ "out|3000" }, rows("SELECT name, time FROM moontide_commits"))
    end)

    it("stores arrays, maps and single values", function()
        save({ { { "ebb", 2, true }, { "flow" } } }, { table = "arrays", columns = { "word", "n", "new" } })
        assert.same({ "ebb|2|1", "flow|nil|nil" }, rows("SELECT word, n, coalesce(new, 'nil') FROM arrays ORDER BY word"))
        fresh_database()
        save({ { { n = 2, word = "ebb", other = 7 }, { word = "flow" } } }, { columns = { "word", "n" } })
        assert.same({ "ebb|2", "flow|none" }, rows("SELECT word, coalesce(n, 'none') FROM t ORDER BY word"))
        fresh_database()
        save({ { "ebb", "flow", 7 } }, { columns = { "word" } })
        assert.same({ "7", "ebb", "flow" }, rows("SELECT word FROM t ORDER BY word"))
    end)

    it("keeps values and their types", function()
        local long = ("päng "):rep(20000)
        save({ {
            { 1, "text" }, { 2, "" }, { 3, "ä€𝄞" }, { 4, "\255\0" }, { 5, "zero\0byte" }, { 6, "\237\160\128" }, { 7, "\192\175" }, { 8, long },
            { 9, true }, { 10, false }, { 11, moontide.null }, { 12, 2 ^ 53 }, { 13, 2 ^ 60 }, { 14, 1.5 }, { 15, -0.0 }, { 16, 1 / 0 },
            { 17, 9223372036854775807LL }, { 18, -9223372036854775807LL - 1 }, { 19, 9223372036854775807ULL }, { 20, "\244\143\191\191" },
            { 21, "\244\144\128\128" }, { 22, "half \195" },
        } }, nil, to_pairs)
        assert.same({
            "1|text", "2|text", "3|text", "4|blob", "5|blob", "6|blob", "7|blob", "8|text", "9|integer", "10|integer", "11|null", "12|integer",
            "13|real", "14|real", "15|integer", "16|real", "17|integer", "18|integer", "19|integer", "20|text", "21|blob", "22|blob",
        }, rows("SELECT k, typeof(v) FROM t ORDER BY k"))
        local found = {}
        for _, row in ipairs(sqlite.query(path, "SELECT k, v FROM t")) do found[row[1]] = row[2] end
        assert.equal("ä€𝄞", found[3])
        assert.equal("\255\0", found[4])
        assert.equal("zero\0byte", found[5])
        assert.equal(long, found[8])
        assert.same({ 1, 0, nil, 2 ^ 53, 2 ^ 60, 1.5, 0, 1 / 0 },
            { found[9], found[10], found[11], found[12], found[13], found[14], found[15], found[16] })
        assert.equal(9223372036854775807LL, found[17])
        assert.equal(-9223372036854775807LL - 1, found[18])
    end)

    it("replaces rows of one key, and in a batch the last one counts", function()
        local batches = { { { "a", 1 }, { "b", 2 } }, { { "a", 3 }, { "c", 4 }, { "a", 5 } } }
        save(batches, { key = "k" }, function(stream) return to_pairs(stream:repartition(1)) end)
        assert.same({ "a|5", "b|2", "c|4" }, rows("SELECT k, v FROM t ORDER BY k"))
        fresh_database()
        save({ { { "a", 1, "x" }, { "a", 2, "y" } }, { { "a", 1, "z" } } }, { columns = { "k", "v", "w" }, key = { "k", "v" } })
        assert.same({ "a|1|z", "a|2|y" }, rows("SELECT * FROM t ORDER BY k, v"))
        fresh_database()
        save({ { { "a", 1 }, { "a", 1 } }, { { "a", 1 }, { "b", 1 } } }, { key = { "k", "v" }, mode = "upsert" })
        assert.same({ "a|1", "b|1" }, rows("SELECT * FROM t ORDER BY k"))
    end)

    it("quotes names, and takes another control table", function()
        save({ { { "a", 1 } } }, { table = 'drop "t"; --', columns = { "select", 'a "b"' }, key = "select", control = "my commits" })
        assert.same({ "a|1" }, rows([[SELECT "select", "a ""b""" FROM "drop ""t""; --"]]))
        assert.same({ "out|1000" }, rows([[SELECT * FROM "my commits"]]))
    end)

    it("makes a database in WAL mode, and leaves the mode of one that is there", function()
        save({ { { "a", 1 } } })
        assert.same({ "wal" }, rows("PRAGMA journal_mode"))
        fresh_database()
        run_sql("CREATE TABLE other (x)")
        save({ { { "a", 1 } } })
        assert.same({ "delete" }, rows("PRAGMA journal_mode"))
        fresh_database()
        save({ { { "a", 1 } } }, { pragmas = { journal_mode = "truncate", cache_size = -2000, foreign_keys = true } })
        assert.same({ "delete" }, rows("PRAGMA journal_mode")) -- of a connection of its own: truncate lasts as long as the sink's
    end)

    it("uses a table that is there, with more columns, types and triggers", function()
        run_sql([[CREATE TABLE t (v INTEGER, more TEXT DEFAULT 'x', K TEXT UNIQUE); CREATE TABLE log (k);
            CREATE TRIGGER seen AFTER INSERT ON t BEGIN INSERT INTO log VALUES (new.k); END]])
        save({ { { "a", "7" }, { "b", 1 } }, { { "a", 9 } } }, { key = "k" })
        assert.same({ "9|x|a", "1|x|b" }, rows("SELECT * FROM t ORDER BY k"))
        assert.same({ "2" }, rows("SELECT count(*) FROM log"))
    end)

    it("is written by several outputs at the same time, under any spelling of the path", function()
        local ssc = streaming(1000, { concurrentJobs = 4 })
        for index, spelling in ipairs({ path, directory.path .. "/./test.db" }) do
            ssc:queueStream({ ssc.sc:range(0, 500, 1, 4), ssc.sc:range(0, 500, 1, 4) }):map(function(i) return i, index end)
                :saveTo(sqlite.sink(options { path = spelling, busyTimeout = 0 }))
        end
        ssc:start()
        ssc.life.graph:advance(2000)
        loop.run_until(function() return ssc.life.state == "STOPPED" or ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        assert.is_nil(ssc.life.error)
        ssc:stop(false)
        assert.same({ "1|1000", "2|1000" }, rows("SELECT v, count(*) FROM t GROUP BY v"))
        assert.same({ "output 1|2000", "output 2|2000" }, rows("SELECT * FROM moontide_commits ORDER BY name"))
    end)

    it("computes the batch before the database is locked, and once", function()
        local ssc = streaming()
        local computed = ssc.sc:accumulator(0)
        local at_lock = {}
        ssc:queueStream({ ssc.sc:range(0, 100, 1, 4), ssc.sc:range(0, 100, 1, 1) }):map(function(i)
            computed:add(1)
            return i, i
        end):saveTo(sqlite.sink(options()))
        local connection = require "moontide.sqlite.connection"
        local execute_before = connection.execute
        finally(function() connection.execute = execute_before end)
        ssc:start()
        function connection.execute(self, sql)
            if sql == "BEGIN IMMEDIATE" then table.insert(at_lock, computed:value()) end
            return execute_before(self, sql)
        end
        advance(ssc)
        advance(ssc)
        assert.same({ 100, 200 }, at_lock)
        assert.equal(200, computed:value())
        assert.equal(0, ssc.sc:getStorageStatus().memUsed)
        ssc:stop(false)
        assert.same({ "200" }, rows("SELECT count(*) FROM t"))
    end)

    it("is started again on what it has", function()
        save({ { { "a", 1 } }, { { "b", 2 } } })
        save({ { { "a", 1 } }, { { "b", 2 } }, { { "c", 3 } } })
        assert.same({ "a|1", "b|2", "c|3" }, rows("SELECT * FROM t ORDER BY k"))
    end)

    it("opens again after a start that failed", function()
        run_sql("CREATE TABLE t (k)")
        local ssc = streaming()
        ssc:queueStream({ { { "a", 1 } } }):saveTo(sqlite.sink(options()))
        contains(message(ssc.start, ssc), "has no column 'v'")
        run_sql("ALTER TABLE t ADD COLUMN v")
        ssc:start()
        advance(ssc)
        ssc:stop(false)
        assert.same({ "a|1" }, rows("SELECT * FROM t"))
    end)
end)

describe("what is no row", function()
    watch()

    local NAN = 0 / 0

    -- A batch with the record fails, with nothing of it stored; the next one is stored.
    local function refused(record, reason, more)
        fresh_database()
        local reasons = save({ { { "before", 1 }, record }, { { "after", 2 } } }, more)
        assert.equal(1, #reasons)
        contains(reasons[1], "the sink of 'out' failed in write: table 't' of '" .. path .. "': " .. reason)
        contains(reasons[1], "\n  record: ")
        contains(reasons[1], "in saveTo (spec/sqlite_spec.lua:")
        assert.same({ "after|2" }, rows("SELECT * FROM t"))
        assert.same({ "out|2000" }, rows("SELECT * FROM moontide_commits"))
        directory:remove()
    end

    it("is refused by the name of the column, and nothing of its batch is stored", function()
        refused({ "a", { 1 } }, "column 'v' is a table: a column holds a number, a string, a boolean or null")
        refused({ { 1 }, 1 }, "column 'k' is a table")
        refused({ k = "a", v = { x = 1 } }, "column 'v' is a table")
        refused({ "a", NAN }, "column 'v' is NaN, which SQLite would store as NULL")
        refused({ "a", 9223372036854775808ULL }, "column 'v' is 9223372036854775808ULL, and SQLite's whole numbers end at")
        refused({ "a", 1, "more" }, "the record has more than 2 values for the columns k, v")
        refused("a", "the record is a string, the columns are k, v: make it a pair, an array or a map")
        refused({ x = 1 }, "the record has nothing for the columns k, v")
        refused({ v = 1 }, "column 'k' is part of the key and missing", { key = "k" })
        refused({ moontide.null, 1 }, "column 'k' is part of the key and missing", { key = "k" })
        fresh_database()
    end)

    it("is so by a constraint of the table, too", function()
        run_sql("CREATE TABLE t (k TEXT, v INTEGER CHECK (v < 10))")
        local reasons = save({ { { "a", 1 }, { "b", 10 } }, { { "c", 3 } } })
        contains(reasons[1], "CHECK constraint failed")
        assert.same({ "c|3" }, rows("SELECT * FROM t"))
    end)

    it("leaves out the batch whose records cannot be computed", function()
        local reasons = save({ { { "a", 1 }, { "b", 2 } }, { { "c", 3 } } }, nil, function(stream)
            return stream:map(function(record)
                if record[1] == "b" then error("no b") end
                return record
            end)
        end)
        contains(reasons[1], "no b")
        assert.same({ "c|3" }, rows("SELECT * FROM t"))
    end)
end)

describe("a database that cannot be used", function()
    watch()

    local function start_fails(more)
        local ssc = streaming()
        ssc:queueStream({ { { "a", 1 } } }):saveTo(sqlite.sink(options(more)), { name = "out" })
        local text = message(ssc.start, ssc)
        contains(text, "'start': the sink of 'out' failed in open: ")
        assert.equal("INITIALIZED", ssc:getState())
        return text
    end

    it("is named: no directory, a directory, no database", function()
        contains(start_fails { path = directory:file("none/x.db") }, ("the database '%s' cannot be opened or made"):format(
            directory:file("none/x.db")))
        contains(start_fails { path = directory.path }, "cannot be opened or made")
        directory:write("test.db", ("this is a text, and no database. "):rep(40))
        contains(start_fails(), ("the database '%s' is no SQLite database (file is not a database)"):format(path))
        assert.equal("this", directory:read("test.db"):sub(1, 4))
    end)

    it("is named: read-only", function()
        run_sql("CREATE TABLE other (x)")
        local job = directory:write("job.lua", ([[
            local moontide, sqlite = require "moontide", require "moontide.sqlite"
            local ssc = moontide.StreamingContext("local[1]", "job", 1000)
            ssc:queueStream({}):saveTo(sqlite.sink { path = %q, table = "t", columns = { "k" } })
            print((select(2, pcall(ssc.start, ssc))))
        ]]):format(path))
        assert.equal(0, os.execute("chmod 444 " .. shell.quote(path)))
        local command = shell.command({ shell.program, "run", job })
        if io.popen("id -u"):read("*l") == "0" then -- nothing is read-only for root
            command = "setpriv --bounding-set=-dac_override,-dac_read_search " .. command
        end
        local result = shell.run(command)
        contains(result.out, ("the database '%s' is read-only: a sink writes to it"):format(path))
    end)

    it("is named: locked by another process", function()
        local db = execute("CREATE TABLE t (k, v); BEGIN IMMEDIATE; INSERT INTO t VALUES (1, 1)")
        contains(start_fails { busyTimeout = "20ms" }, ("the database '%s' is locked: another connection kept it for longer than the "
            .. "busyTimeout (database is locked)"):format(path))
        db:close()
    end)

    it("is named: locked while a batch is written; the next one is stored", function()
        save({}, {})
        local ssc = streaming(1000, { onError = "skip" })
        ssc:queueStream({ { { "a", 1 } }, { { "b", 2 } } }):saveTo(sqlite.sink(options { busyTimeout = 0 }))
        local reasons = {}
        ssc:addStreamingListener { onOutputOperationCompleted = function(info) reasons[#reasons + 1] = info.failureReason end }
        ssc:start()
        local db = execute("BEGIN IMMEDIATE")
        advance(ssc)
        db:close()
        advance(ssc)
        ssc:stop(false)
        assert.equal(1, #reasons)
        contains(reasons[1], ("the database '%s' is locked"):format(path))
        assert.same({ "b|2" }, rows("SELECT * FROM t"))
    end)

    it("is named: damaged", function()
        save({ { { "a", 1 } } }, { pragmas = { journal_mode = "delete" } })
        local bytes = directory:read("test.db")
        for _, cut in ipairs({ 1, 600, 4096, #bytes - 2000, #bytes - 1 }) do
            directory:write("test.db", bytes:sub(1, cut))
            contains(start_fails(), ("the database '%s' is damaged"):format(path))
            assert.equal(cut, #directory:read("test.db"))
        end
        -- The page of the table, which only a batch reads.
        directory:write("test.db", bytes)
        local page = tonumber(rows("SELECT rootpage FROM sqlite_master WHERE name = 't'")[1])
        directory:write("test.db", bytes:sub(1, (page - 1) * 4096) .. ("\255"):rep(4096) .. bytes:sub(page * 4096 + 1))
        local reasons = save({ {}, { { "b", 2 } } })
        contains(reasons[1], ("the database '%s' is damaged"):format(path))
        directory:write("test.db", bytes)
        assert.same({ "out|1000" }, rows("SELECT * FROM moontide_commits"))
    end)

    it("is named: full; nothing of the batch is stored, and the next one is", function()
        local large = {}
        for i = 1, 40 do large[i] = { "large " .. i, ("x"):rep(3000) } end
        local reasons = save({ { { "a", 1 } }, large, { { "b", 2 } } }, { pragmas = { max_page_count = 20 } })
        assert.equal(1, #reasons)
        contains(reasons[1], ("the database '%s' has no room left: its disk is full, or its max_page_count is reached (database or disk is full)")
            :format(path))
        assert.same({ "a|1", "b|2" }, rows("SELECT * FROM t ORDER BY k"))
        assert.same({ "out|3000" }, rows("SELECT * FROM moontide_commits"))
    end)

    it("is named: a full disk of a real file", function()
        local job = directory:write("job.lua", ([[
            local sqlite, testing = require "moontide.sqlite", require "moontide.testing"
            local result = testing.run { inputs = { { { 1 }, { 2, 3 } } }, conf = { onError = "stop" }, build = function(_, numbers)
                numbers:map(function(n) return n, ("x"):rep(60000) .. n end):saveTo(
                    sqlite.sink { path = %q, table = "t", columns = { "k", "v" }, pragmas = { journal_mode = "delete" } }, { name = "out" })
            end }
            print(tostring(result.error))
        ]]):format(path))
        local result = shell.run("trap '' XFSZ; ulimit -f 200; exec " .. shell.command({ shell.program, "run", job }))
        contains(result.out, "the sink of 'out' failed in write: the database '" .. path .. "' ")
        assert.same({ "1" }, rows("SELECT k FROM t"))
        assert.same({ "out|1000" }, rows("SELECT * FROM moontide_commits"))
    end)

    it("is named: without the columns, or what makes their key unique", function()
        run_sql("CREATE TABLE t (k, value, PRIMARY KEY (k)); CREATE TABLE moontide_commits (name, batch)")
        contains(start_fails { columns = { "k", "number" } }, ("the table 't' of '%s' has no column 'number' (it has k, value)"):format(path))
        contains(start_fails { columns = { "k", "valu" } }, "has no column 'valu'; did you mean 'value'? (it has k, value)")
        contains(start_fails { columns = { "k", "value" } }, ("the table 'moontide_commits' of '%s' has no column 'time'"):format(path))
        contains(start_fails { columns = { "k", "value" }, key = "value", control = "c" }, ("the table 't' of '%s' has no primary key and no "
            .. "unique index of just the columns value"):format(path))
        run_sql("CREATE UNIQUE INDEX by_value ON t (value)")
        save({ { { "a", 1 } }, { { "b", 1 } } }, { columns = { "k", "value" }, key = "value", control = "c" })
        assert.same({ "b|1" }, rows("SELECT * FROM t"))
    end)

    it("is named: a pragma that SQLite does not have", function()
        contains(start_fails { pragmas = { jurnal_mode = "wal" } }, "SQLite has no pragma 'jurnal_mode'; did you mean 'journal_mode'?")
    end)

    it("leaves nothing of a start that failed", function()
        start_fails { pragmas = { jurnal_mode = "wal" } }
        assert.same({}, rows("SELECT name FROM sqlite_master"))
    end)

    it("says so when another process has written the batch", function()
        local ssc = streaming(1000, { onError = "skip" })
        ssc:queueStream({ { { "a", 1 } }, { { "b", 2 } } }):saveTo(sqlite.sink(options()), { name = "out" })
        local reasons = {}
        ssc:addStreamingListener { onOutputOperationCompleted = function(info) reasons[#reasons + 1] = info.failureReason end }
        ssc:start()
        run_sql("INSERT INTO moontide_commits VALUES ('out', 1000)")
        advance(ssc)
        advance(ssc)
        ssc:stop(false)
        contains(reasons[1], ("the batch of 1000 ms of 'out' is in '%s' already, up to 1000 ms: does another process run this job?"):format(path))
        assert.same({ "b|2" }, rows("SELECT * FROM t"))
    end)
end)

describe("sqlite.sink", function()
    watch()

    local function refuses(reason, more)
        local given = options(more)
        for name, value in pairs(given) do
            if value == "none" then given[name] = nil end
        end
        local here = line_here() + 1
        local text = message(function() sqlite.sink(given) end)
        assert.equal(("spec/sqlite_spec.lua:%d: sqlite.sink: %s"):format(here, reason), text)
    end

    it("refuses wrong options at the line of the script", function()
        contains(message(sqlite.sink), "bad argument #1 to 'sqlite.sink' (table of options expected, got nil)")
        contains(message(sqlite.sink, "x.db"), "(table of options expected, got string)")
        contains(message(sqlite.sink, { pth = "x.db" }), "sqlite.sink has no option 'pth'; did you mean 'path'?")
        refuses("option 'path': string expected, got nil", { path = "none" })
        refuses("option 'path': the text is empty, or has a zero byte", { path = "" })
        refuses("option 'path': a database in memory would be gone with the sink: name a file", { path = ":memory:" })
        refuses("option 'table': string expected, got number", { table = 7 })
        refuses("option 'table': 'Moontide_Commits' is the table of batch times: name another one, or another 'control'",
            { table = "Moontide_Commits" })
        refuses("option 'columns': array expected, got nil", { columns = "none" })
        refuses("option 'columns': the list is empty", { columns = {} })
        refuses("option 'columns': array expected, got a table with the key 'word'", { columns = { word = "TEXT" } })
        refuses("option 'columns': the name of a column expected at position 2, got number", { columns = { "a", 1 } })
        refuses("option 'columns': 'A' is there twice", { columns = { "a", "A" } })
        refuses("option 'key': 'kk' is not one of the columns; did you mean 'k'?", { key = "kk" })
        refuses("option 'key': array expected, got boolean", { key = true })
        refuses("option 'key': mode 'upsert' replaces rows by their key: name its columns", { mode = "upsert" })
        refuses("option 'key': mode 'append' replaces nothing and takes no key", { mode = "append", key = "k" })
        refuses("option 'mode': 'upsrt' is not a mode; did you mean 'upsert'? (valid: upsert, append)", { mode = "upsrt" })
        refuses("option 'mode': boolean is not a mode (valid: upsert, append)", { mode = true })
        refuses("option 'control': string expected, got boolean", { control = false })
        refuses("option 'busyTimeout': a duration cannot be negative, got -1", { busyTimeout = -1 })
        refuses("option 'busyTimeout': at most an hour is possible", { busyTimeout = "2h" })
        refuses("option 'pragmas': table of pragmas expected, got string", { pragmas = "wal" })
        refuses("option 'pragmas': 'x; y' cannot be the name of a pragma", { pragmas = { ["x; y"] = 1 } })
        refuses("option 'pragmas': the value of cache_size must be a word, a number or a boolean", { pragmas = { cache_size = {} } })
        refuses("option 'pragmas': the value of journal_mode must be a word, a number or a boolean", { pragmas = { journal_mode = "wal; DROP" } })
    end)

    it("opens nothing", function()
        sqlite.sink(options())
        assert.is_nil(directory:read("test.db"))
    end)

    it("names the package when the library is missing, and nothing else needs it", function()
        local job = directory:write("job.lua", [[
            local ffi = require "ffi"
            local load = ffi.load
            ffi.load = function(name, ...)
                if name:find("sqlite") then error(name .. ": cannot open shared object file: No such file or directory", 0) end
                return load(name, ...)
            end
            local moontide, sqlite = require "moontide", require "moontide.sqlite"
            print((select(2, pcall(function() sqlite.sink { path = "x.db", table = "t", columns = { "k" } } end))))
            print((select(2, pcall(function() sqlite.query("x.db", "SELECT 1") end))))
        ]])
        local result = shell.moontide({ "run", job })
        contains(result.out, "job.lua:8: sqlite.sink: libsqlite3.so.0 is missing: install the package libsqlite3-0 (Debian, Ubuntu); "
            .. "libsqlite3.so.0: cannot open shared object file")
        contains(result.out, "job.lua:9: sqlite.query: libsqlite3.so.0 is missing")
        assert.equal(0, result.code)
    end)

    it("has queries beside it, which change nothing", function()
        local reason = select(2, sqlite.query(path, "SELECT 1"))
        contains(reason, ("the database '%s' cannot be opened or made"):format(path))
        run_sql("CREATE TABLE t (k, v); INSERT INTO t VALUES ('a', NULL), ('b', 2)")
        assert.same({ { "a" }, { "b", 2 } }, sqlite.query(path, "SELECT k, v FROM t ORDER BY k"))
        contains(select(2, sqlite.query(path, "SELECT x FROM t")), "no such column: x")
        contains(select(2, sqlite.query(path, "DELETE FROM t")), "is read-only")
        contains(message(sqlite.query, path), "bad argument #2 to 'sqlite.query' (string expected, got nil)")
        assert.same({ "2" }, rows("SELECT count(*) FROM t"))
    end)
end)

-- A process that ends itself with SIGKILL at a point of a batch's write: arg[2] and arg[3]. Its input is the same each time.
local KILLED = [[
    local ffi, moontide, sqlite = require "ffi", require "moontide", require "moontide.sqlite"
    local connection = require "moontide.sqlite.connection"
    ffi.cdef "int kill(int, int); int getpid(void);"
    local path, point, batch = arg[1], arg[2], tonumber(arg[3])
    local now, rows = 0, 0
    local function at(name, condition)
        if name == point and now == batch and condition ~= false then ffi.C.kill(ffi.C.getpid(), 9) end
    end

    local execute, prepare = connection.execute, connection.prepare
    function connection:execute(sql)
        at("before " .. sql)
        execute(self, sql)
        at("after " .. sql)
    end
    function connection:prepare(sql)
        local statement = prepare(self, sql)
        local what = sql:find("INSERT INTO \"t\"", 1, true) and "row" or sql:find("INSERT INTO \"moontide_commits\"", 1, true) and "time"
        if what then
            function statement:run()
                getmetatable(self).__index.run(self)
                rows = rows + 1
                at("after the " .. what, what == "time" or rows == 7)
            end
        end
        return statement
    end

    local sink = sqlite.sink { path = path, table = "t", columns = { "id", "batch" }, key = arg[4] ~= "append" and "id" or nil,
        pragmas = { journal_mode = arg[5] } }
    local write = sink.write
    function sink:write(rdd, time)
        now, rows = time, 0
        at("before the write")
        local done, reason = write(self, rdd, time)
        at("after the write")
        if done then
            io.stdout:write(("stored %.0f\n"):format(time))
            io.stdout:flush()
        end
        return done, reason
    end
]]

local MANUAL = KILLED .. [[
    local batches = {}
    for batch = 1, 6 do
        batches[batch] = {}
        for i = 1, 20 do batches[batch][i] = { batch * 100 + i, batch * 1000 } end
    end
    local result = require("moontide.testing").run { inputs = { batches }, partitions = 3, build = function(_, records)
        records:saveTo(sink, { name = "out" })
    end }
    if result.error then error(result.error, 0) end
]]

local POINTS = {
    "before the write", "before BEGIN IMMEDIATE", "after BEGIN IMMEDIATE", "after the row", "after the time", "before COMMIT", "after COMMIT",
    "after the write",
}

describe("a job that is killed", function()
    before_each(fresh_database)
    after_each(function() directory:remove() end)

    for _, way in ipairs({ { "append", "wal" }, { "append", "delete" }, { "upsert", "wal" } }) do
        it(("at each point of a write, and started again on the same input, stores each row once (%s, %s)"):format(way[1], way[2]), function()
            local job = directory:write("job.lua", MANUAL)
            for index, point in ipairs(POINTS) do
                local time = 1000 * ({ 1, 1, 2, 2, 3, 3, 4, 5 })[index] -- of a batch that is still to be written
                local result = shell.moontide({ "run", job, path, point, time, way[1], way[2] })
                assert.equal(137, result.code, point .. ": " .. result.err)
                -- Whole batches, and the time of the last one.
                local stored = tonumber(rows("SELECT coalesce(max(time), 0) FROM moontide_commits")[1])
                assert.equal(index > 6 and time or time - 1000, stored, point)
                assert.same({ ("%d|%d"):format(stored / 50, stored / 1000) },
                    rows("SELECT count(*), count(DISTINCT batch) FROM t"), point)
            end
            local result = shell.moontide({ "run", "--log-level", "error", job, path, "none", 0, way[1], way[2] })
            assert.equal("", result.err)
            assert.equal("stored 6000\n", result.out)
            assert.equal(0, result.code)
            assert.same({ "120|120|6" }, rows("SELECT count(*), count(DISTINCT id), count(DISTINCT batch) FROM t"))
            assert.same({ "out|6000" }, rows("SELECT * FROM moontide_commits"))
            assert.same({ "ok" }, rows("PRAGMA integrity_check"))
        end)
    end
end)

-- On a real clock, without end: the records of a batch are made from its time, so a batch has the same input whenever it runs.
local REAL = KILLED .. [[
    local ssc = moontide.StreamingContext("local[2]", "killed", moontide.milliseconds(20))
    local seed = ssc.sc:range(0, 30, 1, 3)
    ssc:queueStream({}, true, seed):transform(function(rdd, time)
        return rdd:map(function(i) return ("%.0f-%d"):format(time, i), time end)
    end):saveTo(sink, { name = "out" })
    ssc:start()
    ssc:awaitTermination()
]]

describe("a job on a real clock that is killed", function()
    before_each(fresh_database)
    after_each(function() directory:remove() end)

    it("has whole batches, all that it has told of, and none twice", function()
        local job = directory:write("job.lua", REAL)
        local told, kills = {}, 8
        for kill = 1, kills do
            local running = shell.start(shell.command({ shell.program, "run", job, path, "none", 0, "append", kill % 2 == 0 and "wal" or "delete" }))
            for _ = 1, 2 + kill % 3 do
                told[#told + 1] = assert(running:read_line()):match("^stored (%d+)$")
            end
            running:signal("KILL")
            local result = running:wait()
            assert.equal(137, result.code)
            for time in result.out:gmatch("stored (%d+)\n") do told[#told + 1] = time end
        end
        assert.is_true(#told >= 3 * kills - 4)
        local found = {}
        for _, row in ipairs(sqlite.query(path, "SELECT batch, count(*), count(DISTINCT id) FROM t GROUP BY batch ORDER BY batch")) do
            assert.same({ 30, 30 }, { row[2], row[3] })
            found[("%.0f"):format(row[1])] = true
        end
        for _, time in ipairs(told) do assert(found[time], "the batch of " .. time .. " ms was told of and is not there") end
        assert.same(rows("SELECT max(batch) FROM t"), rows("SELECT time FROM moontide_commits"))
    end)
end)

describe("moontide.sqlite", function()
    it("is not loaded by anything else", function()
        local result = shell.run("ldd " .. shell.quote(shell.program))
        assert.is_nil(result.out:find("sqlite", 1, true))
        assert.equal("function", type(ffi.load))
    end)
end)
