--- A sink for SQLite, through the library libsqlite3 (package libsqlite3-0 of Debian and Ubuntu):
---
---     local sqlite = require "moontide.sqlite"
---     counts:saveTo(sqlite.sink{ path = "words.db", table = "counts", columns = { "word", "n" }, key = "word" }, { name = "counts" })
---
--- Each batch is one transaction, which also stores the time of the batch in a table of the same database:
---
---     CREATE TABLE moontide_commits (name TEXT NOT NULL PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID
---
--- with one row for each output: the name that saveTo gives it, and the time (ms) of the last batch that is stored. So a batch that
--- runs again after a crash is stored once. Readers see whole batches.
---
--- The workers compute the batch before the database is locked; the script's thread then writes it, record by record, some 0.3 to 0.9 million
--- rows a second, and lets ticks and other outputs go on meanwhile. A lock of another process holds everything up for up to busyTimeout.
---
--- Records become rows: of a pair, key and value; of an array, the elements by position; of a map, the fields that are called
--- as the columns; another value is a row of one column. What a record lacks is NULL. As SQLite's types:
---
---     number, int64      INTEGER when whole (up to 2^53 in a number), else REAL; NaN, and what is beyond int64, is refused
---     string             TEXT when it is valid UTF-8 without zero bytes, else BLOB
---     boolean            INTEGER, 1 or 0
---     nil, null          NULL, which columns of the key cannot be
---     table              refused; write its fields into columns, or one text

local check = require "moontide.base.check"
local connection = require "moontide.sqlite.connection"
local duration = require "moontide.base.duration"
local moontide = require "moontide"
local preview = require "moontide.base.preview"

check.join_library()

local sqlite = {}

---@class moontide.sqlite.Options
---@field path string file of the database; made if it is not there, in WAL mode
---@field table string made if it is not there, with the columns, which then have no declared types; with a key WITHOUT ROWID, which suits rows
---  of up to some hundred bytes
---@field columns string[] names; in the order of the elements of pairs and arrays
---@field key string|string[]|nil columns by which rows are replaced (mode "upsert"): the table's primary key, or a unique index
---@field mode "upsert"|"append"|nil default "upsert" with a key, else "append"
---@field control string? name of the table of batch times, default "moontide_commits"
---@field busyTimeout number|string|nil duration that a lock of another process is waited for, default "5s"; ticks and other outputs wait, too
---@field pragmas table<string, string|number|boolean>? set on the connection, such as { journal_mode = "delete", cache_size = -64000 }

---@class moontide.SqliteSink : moontide.Sink
local Sink = {}
Sink.__index = Sink

local OPTIONS = { "path", "table", "columns", "key", "mode", "control", "busyTimeout", "pragmas" }
local MODES = { "upsert", "append" }
local LONGEST_TIMEOUT = 3600000 -- ms

-- Options ---------------------------------------------------------------------------------------------------------

local function refuse(option, format, ...)
    check.fail("sqlite.sink: option '%s': " .. format, option, ...)
end

local function text(options, option, default)
    local value = options[option]
    if value == nil then
        value = default
    end
    if type(value) ~= "string" then
        refuse(option, "string expected, got %s", check.type_name(value))
    elseif value == "" or value:find("%z") then
        refuse(option, "the text is empty, or has a zero byte")
    end
    return value
end

local function names(option, list)
    local reason = check.not_array(list)
    if reason then
        refuse(option, "%s", reason)
    elseif #list == 0 then
        refuse(option, "the list is empty")
    end
    local seen = {}
    for index, name in ipairs(list) do
        if type(name) ~= "string" or name == "" or name:find("%z") then
            refuse(option, "the name of a column expected at position %d, got %s", index,
                type(name) == "string" and "an empty text or one with a zero byte" or check.type_name(name))
        elseif seen[name:lower()] then
            refuse(option, "'%s' is there twice", name)
        end
        seen[name:lower()] = true
    end
    return { unpack(list) }
end

local function key_columns(options, columns)
    if options.key == nil then
        return {}
    end
    local key = names("key", type(options.key) == "string" and { options.key } or options.key)
    local known = {}
    for _, column in ipairs(columns) do
        known[column] = true
    end
    for _, column in ipairs(key) do
        if not known[column] then
            refuse("key", "'%s' is not one of the columns%s", column, check.suggestion(column, columns))
        end
    end
    return key
end

local function mode_of(options, key)
    local mode = options.mode
    if mode == nil then
        return #key > 0 and "upsert" or "append"
    elseif mode ~= "upsert" and mode ~= "append" then
        refuse("mode", "%s is not a mode%s (valid: upsert, append)", type(mode) == "string" and "'" .. mode .. "'" or check.type_name(mode),
            type(mode) == "string" and check.suggestion(mode, MODES) or "")
    elseif mode == "upsert" and #key == 0 then
        refuse("key", "mode 'upsert' replaces rows by their key: name its columns")
    elseif mode == "append" and #key > 0 then
        refuse("key", "mode 'append' replaces nothing and takes no key")
    end
    return mode
end

local function pragmas_of(options)
    local list = {}
    if options.pragmas ~= nil and check.type_name(options.pragmas) ~= "table" then
        refuse("pragmas", "table of pragmas expected, got %s", check.type_name(options.pragmas))
    end
    for name, value in pairs(options.pragmas or {}) do
        if type(name) ~= "string" or not name:find("^[%a_]+$") then
            refuse("pragmas", "'%s' cannot be the name of a pragma", tostring(name))
        elseif not ({ string = true, number = true, boolean = true })[type(value)] or not tostring(value):find("^[%w_.+-]+$") then
            refuse("pragmas", "the value of %s must be a word, a number or a boolean", name)
        end
        list[#list + 1] = { name = name:lower(), value = tostring(value) }
    end
    table.sort(list, function(a, b) return a.name < b.name end)
    return list
end

local function busy_timeout(options)
    local ms, reason = duration.parse(options.busyTimeout == nil and 5000 or options.busyTimeout)
    if not ms or ms > LONGEST_TIMEOUT then
        refuse("busyTimeout", "%s", reason or "at most an hour is possible")
    end
    return ms
end

local function checked(options)
    if check.type_name(options) ~= "table" then
        check.bad_argument(1, "sqlite.sink", "table of options", options)
    end
    check.options("sqlite.sink", options, OPTIONS)
    local columns = names("columns", options.columns)
    local key = key_columns(options, columns)
    local made = {
        path = text(options, "path"), table = text(options, "table"), columns = columns, key = key, mode = mode_of(options, key),
        control = text(options, "control", "moontide_commits"), busy_timeout = busy_timeout(options), pragmas = pragmas_of(options),
    }
    if made.path == ":memory:" then
        refuse("path", "a database in memory would be gone with the sink: name a file")
    elseif made.table:lower() == made.control:lower() then
        refuse("table", "'%s' is the table of batch times: name another one, or another 'control'", made.table)
    end
    return made
end

-- SQL -------------------------------------------------------------------------------------------------------------

local function quoted(name)
    return '"' .. name:gsub('"', '""') .. '"'
end

local function quoted_list(list)
    local made = {}
    for index, name in ipairs(list) do
        made[index] = quoted(name)
    end
    return table.concat(made, ", ")
end

local function create_sql(self)
    local parts, in_key = {}, {}
    for _, column in ipairs(self.key) do
        in_key[column] = true
    end
    for index, column in ipairs(self.columns) do
        parts[index] = quoted(column) .. (in_key[column] and " NOT NULL" or "")
    end
    if #self.key > 0 then
        parts[#parts + 1] = ("PRIMARY KEY (%s)"):format(quoted_list(self.key))
    end
    return ("CREATE TABLE %s (%s)%s"):format(quoted(self.table), table.concat(parts, ", "), #self.key > 0 and " WITHOUT ROWID" or "")
end

local function control_sql(self)
    return ("CREATE TABLE %s (name TEXT NOT NULL PRIMARY KEY, time INTEGER NOT NULL) WITHOUT ROWID"):format(quoted(self.control))
end

local function insert_sql(self)
    local sql = ("INSERT INTO %s (%s) VALUES (%s)"):format(quoted(self.table), quoted_list(self.columns),
        ("?, "):rep(#self.columns - 1) .. "?")
    if self.mode == "append" then
        return sql
    end
    local in_key, sets = {}, {}
    for _, column in ipairs(self.key) do
        in_key[column] = true
    end
    for _, column in ipairs(self.columns) do
        if not in_key[column] then
            sets[#sets + 1] = ("%s = excluded.%s"):format(quoted(column), quoted(column))
        end
    end
    return ("%s ON CONFLICT (%s) DO %s"):format(sql, quoted_list(self.key),
        #sets > 0 and "UPDATE SET " .. table.concat(sets, ", ") or "NOTHING")
end

-- Opening ---------------------------------------------------------------------------------------------------------

-- Bytes of a file; 0 when it is not there.
local function size_of(path)
    local file = io.open(path, "rb")
    local size = file and file:seek("end") or 0
    if file then
        file:close()
    end
    return size
end

-- SQLite reads what is missing at the end of a file as zeros, and one without its first page as an empty database.
local function check_length(self, db)
    local pages = db:prepare("PRAGMA page_count"):rows()[1][1]
    local expected = pages * db:prepare("PRAGMA page_size"):rows()[1][1]
    local size = size_of(self.path)
    if pages == 0 or size < expected and size_of(self.path .. "-wal") == 0 then
        error(("the database '%s' is damaged: the file has %.0f bytes, %s; restore a copy"):format(self.path, size,
            pages == 0 and "less than its first page" or ("and its pages need %.0f"):format(expected)), 0)
    end
end

local function set_pragmas(self, db, fresh)
    if fresh then
        db:execute("PRAGMA journal_mode = wal")
    end
    db:execute("PRAGMA synchronous = full")
    local known, list = {}, {}
    for index, row in ipairs(db:prepare("PRAGMA pragma_list"):rows()) do
        known[row[1]], list[index] = true, row[1]
    end
    for _, pragma in ipairs(self.pragmas) do
        if #list > 0 and not known[pragma.name] then
            error(("SQLite has no pragma '%s'%s"):format(pragma.name, check.suggestion(pragma.name, list)), 0)
        end
        db:execute(("PRAGMA %s = %s"):format(pragma.name, pragma.value))
    end
end

-- The columns of a table or view; empty when it is not there.
local function columns_of(db, name)
    local found = {}
    for index, row in ipairs(db:prepare(("PRAGMA table_xinfo(%s)"):format(quoted(name))):rows()) do
        found[index] = row[2]
    end
    return found
end

-- Makes what is missing. An existing table must have the columns.
local function make_table(self, db, name, columns, sql)
    local found = columns_of(db, name)
    if #found == 0 then
        db:execute(sql)
        return
    end
    local known = {}
    for _, column in ipairs(found) do
        known[column:lower()] = true
    end
    for _, column in ipairs(columns) do
        if not known[column:lower()] then
            error(("the table '%s' of '%s' has no column '%s'%s (it has %s)"):format(name, self.path, column,
                check.suggestion(column, found), table.concat(found, ", ")), 0)
        end
    end
end

local function make_tables(self, db)
    if #columns_of(db, self.table) > 0 and #columns_of(db, self.control) > 0 then
        make_table(self, db, self.table, self.columns)
        make_table(self, db, self.control, { "name", "time" })
        return
    end
    db:execute("BEGIN IMMEDIATE")
    make_table(self, db, self.table, self.columns, create_sql(self))
    make_table(self, db, self.control, { "name", "time" }, control_sql(self))
    db:execute("COMMIT")
end

local function prepare_insert(self, db)
    local ok, made = pcall(db.prepare, db, insert_sql(self))
    if ok then
        return made
    elseif made:find("ON CONFLICT clause does not match", 1, true) then
        error(("the table '%s' of '%s' has no primary key and no unique index of just the columns %s, by which its rows could be "
            .. "replaced: make one (CREATE UNIQUE INDEX), or name its columns with 'key'"):format(self.table, self.path,
            table.concat(self.key, ", ")), 0)
    end
    error(made, 0)
end

local function connect(self)
    local fresh = size_of(self.path) == 0
    local db = connection.open(self.path, "create", self.busy_timeout)
    local ok, reason = pcall(function()
        if db:is_read_only() then
            error(("the database '%s' is read-only: a sink writes to it"):format(self.path), 0)
        end
        if not fresh then
            check_length(self, db)
        end
        set_pragmas(self, db, fresh)
        make_tables(self, db)
        self.insert = prepare_insert(self, db)
        self.committed = db:prepare(("SELECT time FROM %s WHERE name = ?"):format(quoted(self.control)))
        self.commit = db:prepare(("INSERT INTO %s (name, time) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET time = excluded.time")
            :format(quoted(self.control)))
    end)
    if not ok then
        db:close()
        error(reason, 0)
    end
    return db
end

-- The contract ----------------------------------------------------------------------------------------------------

-- What fails is returned: error values of actions as they are, own ones as text.
local function attempt(fn, ...)
    local ok, result = pcall(fn, ...)
    if ok then
        return result
    end
    return nil, result
end

function Sink:open(name)
    local db, reason = attempt(connect, self)
    if not db then
        return nil, reason
    end
    self.db, self.name = db, name
    return true
end

local function last_committed(self)
    self.committed:reset()
    self.committed:bind(1, self.name)
    local time = self.committed:step() and self.committed:column(1) or nil
    self.committed:reset()
    return time
end

function Sink:lastCommitted()
    return attempt(last_committed, self)
end

local function refuse_record(self, record, format, ...)
    error(("table '%s' of '%s': "):format(self.table, self.path) .. format:format(...) .. "\n  record: " .. preview(record), 0)
end

-- Whether the values of the record go by position; false: by the names of the columns.
local function by_position(self, record)
    if record[1] ~= nil then
        return true
    end
    for _, column in ipairs(self.columns) do
        if record[column] ~= nil then
            return false
        end
    end
    for index = 2, #self.columns do
        if record[index] ~= nil then
            return true
        end
    end
    refuse_record(self, record, "the record has nothing for the columns %s", table.concat(self.columns, ", "))
end

local function insert_record(self, record)
    local columns, insert, in_key = self.columns, self.insert, self.in_key
    local is_table = type(record) == "table"
    local positions = is_table and by_position(self, record)
    if not is_table and #columns > 1 then
        refuse_record(self, record, "the record is a %s, the columns are %s: make it a pair, an array or a map", type(record),
            table.concat(columns, ", "))
    elseif positions and record[#columns + 1] ~= nil then
        refuse_record(self, record, "the record has more than %d values for the columns %s", #columns, table.concat(columns, ", "))
    end
    for index = 1, #columns do
        local value = record
        if positions then
            value = record[index]
        elseif is_table then
            value = record[columns[index]]
        end
        local problem = insert:bind(index, value)
        if problem or in_key[index] and (value == nil or value == moontide.null) then
            refuse_record(self, record, "column '%s' %s", columns[index], problem or "is part of the key and missing")
        end
    end
    insert:run()
end

-- Has all workers compute the batch, before the database is locked. What has no room in memory goes to disk. (Of a single partition
-- the first record comes when it is computed.) Returns whether the dataset has to be unpersisted.
local function compute(rdd)
    if rdd:getNumPartitions() < 2 then
        return false
    end
    local kept = rdd:getStorageLevel() ~= moontide.StorageLevel.NONE
    if not kept then
        rdd:persist(moontide.StorageLevel.MEMORY_AND_DISK)
    end
    rdd:count()
    return not kept
end

local function transaction(self, rdd, time)
    local records = rdd:toLocalIterator()
    local record = records()
    self.db:execute("BEGIN IMMEDIATE")
    local before = last_committed(self)
    if before and before >= time then
        error(("the batch of %.0f ms of '%s' is in '%s' already, up to %.0f ms: does another process run this job?"):format(time,
            self.name, self.path, before), 0)
    end
    while record ~= nil do
        insert_record(self, record)
        record = records()
    end
    self.commit:bind(1, self.name)
    self.commit:bind(2, time)
    self.commit:run()
    self.db:execute("COMMIT")
end

function Sink:write(rdd, time)
    local persisted
    local done, reason = pcall(function()
        persisted = compute(rdd)
        transaction(self, rdd, time)
    end)
    if persisted then
        rdd:unpersist()
    end
    self.insert:reset()
    if done then
        return true
    end
    if self.db:in_transaction() then
        attempt(self.db.execute, self.db, "ROLLBACK")
    end
    return nil, reason
end

function Sink:close()
    self.db:close()
    self.db, self.insert, self.commit, self.committed = nil, nil, nil, nil
    return true
end

-- Public ----------------------------------------------------------------------------------------------------------

--- Makes a sink for `stream:saveTo`: each batch is one transaction on a table of a SQLite database. The head of this file says
--- what becomes of records, and what the control table holds.
---
---     local sqlite = require "moontide.sqlite"
---     local words = sqlite.sink{ path = "words.db", table = "counts", columns = { "word", "n" }, key = "word" }
---     counts:saveTo(words, { name = "counts" })
---
--- With a key, a row of the batch replaces the one with the same key; in one batch the last one counts. Rows come partition by
--- partition. What is wrong with the options is an error, and so is a missing libsqlite3; what is wrong with the file, its table or
--- its columns makes start() fail. Not in Spark.
---@param options moontide.sqlite.Options
---@return moontide.Sink
function sqlite.sink(options)
    local self = checked(options)
    local loaded, reason = connection.load()
    if not loaded then
        check.fail("sqlite.sink: %s", reason)
    end
    self.in_key = {}
    for index, column in ipairs(self.columns) do
        for _, name in ipairs(self.key) do
            self.in_key[index] = self.in_key[index] or name == column
        end
    end
    self.resource = "sqlite:" .. connection.real_path(self.path)
    return setmetatable(self, Sink)
end

--- The rows that a query gives; the database is only read.
---
---     local sqlite = require "moontide.sqlite"
---     local rows, reason = sqlite.query("words.db", "SELECT word, n FROM counts ORDER BY n DESC LIMIT 10")
---
--- Whole numbers beyond 2^53 come as int64, NULL as nil, BLOB and TEXT as strings. A missing libsqlite3 is an error. Not in Spark.
---@param path string
---@param sql string one statement
---@return any[][]? rows arrays of values
---@return string? reason
function sqlite.query(path, sql)
    check.text(1, "sqlite.query", path, true)
    check.text(2, "sqlite.query", sql, true)
    local loaded, reason = connection.load()
    if not loaded then
        check.fail("sqlite.query: %s", reason)
    end
    local db
    local rows
    rows, reason = attempt(function()
        db = connection.open(path, "read", 5000)
        return db:prepare(sql):rows()
    end)
    if db then
        db:close()
    end
    return rows, reason
end

return sqlite
