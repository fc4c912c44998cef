--- One connection to a SQLite database through libsqlite3: statements, values and errors as moontide.sqlite needs them. What fails
--- raises a text that names the file and says what to do.

local declare = require "moontide.base.declare"
local ffi = require "ffi"
local values = require "moontide.base.values"

declare.cdef [[
typedef struct sqlite3 sqlite3;
typedef struct sqlite3_stmt sqlite3_stmt;
int sqlite3_libversion_number(void);
int sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs);
int sqlite3_close_v2(sqlite3 *db);
int sqlite3_exec(sqlite3 *db, const char *sql, void *callback, void *arg, char **message);
int sqlite3_busy_timeout(sqlite3 *db, int ms);
int sqlite3_db_readonly(sqlite3 *db, const char *name);
int sqlite3_get_autocommit(sqlite3 *db);
const char *sqlite3_errmsg(sqlite3 *db);
const char *sqlite3_errstr(int code);
int sqlite3_prepare_v2(sqlite3 *db, const char *sql, int size, sqlite3_stmt **statement, const char **rest);
int sqlite3_finalize(sqlite3_stmt *statement);
int sqlite3_step(sqlite3_stmt *statement);
int sqlite3_reset(sqlite3_stmt *statement);
int sqlite3_clear_bindings(sqlite3_stmt *statement);
int sqlite3_bind_null(sqlite3_stmt *statement, int index);
int sqlite3_bind_int64(sqlite3_stmt *statement, int index, int64_t value);
int sqlite3_bind_double(sqlite3_stmt *statement, int index, double value);
int sqlite3_bind_text(sqlite3_stmt *statement, int index, const char *bytes, int size, void *keep);
int sqlite3_bind_blob(sqlite3_stmt *statement, int index, const char *bytes, int size, void *keep);
int sqlite3_column_count(sqlite3_stmt *statement);
int sqlite3_column_type(sqlite3_stmt *statement, int index);
int64_t sqlite3_column_int64(sqlite3_stmt *statement, int index);
double sqlite3_column_double(sqlite3_stmt *statement, int index);
const char *sqlite3_column_blob(sqlite3_stmt *statement, int index);
int sqlite3_column_bytes(sqlite3_stmt *statement, int index);
]]

declare.cdef [[
char *realpath(const char *path, char *resolved);
void free(void *pointer);
]]

local connection = {}
connection.__index = connection

local LIBRARY = "libsqlite3.so.0"
local OLDEST = 3024000 -- has ON CONFLICT … DO UPDATE
local READWRITE, CREATE, READONLY = 2, 4, 1
local ROW, DONE = 100, 101
local INTEGER, FLOAT, BLOB_OR_TEXT = 1, 2, { [3] = true, [4] = true }
local LARGEST = 2 ^ 53

local lib -- libsqlite3, once it is loaded

--- Loads the library, once.
---@return true? loaded
---@return string? reason
function connection.load()
    if lib then
        return true
    end
    local ok, found = pcall(ffi.load, LIBRARY)
    if not ok then
        return nil, ("%s is missing: install the package libsqlite3-0 (Debian, Ubuntu); %s"):format(LIBRARY, tostring(found))
    end
    local version = found.sqlite3_libversion_number()
    if version < OLDEST then
        return nil, ("SQLite 3.24 or later is needed, %s has the version number %d"):format(LIBRARY, version)
    end
    lib = found
    return true
end

local function resolved(path)
    local found = ffi.C.realpath(path, nil)
    local text = found ~= nil and ffi.string(found) or nil
    ffi.C.free(found)
    return text
end

--- One spelling for the path of a file, which need not be there.
---@param path string
---@return string
function connection.real_path(path)
    local folder, name = path:match("^(.*)/([^/]*)$")
    if folder == "" then
        folder = "/"
    end
    local real_folder = resolved(folder or ".")
    return resolved(path) or real_folder and real_folder .. "/" .. (name or path) or path
end

-- Errors ----------------------------------------------------------------------------------------------------------

-- What is to be said of a failure, by SQLite's code; {} is SQLite's own text.
local ADVICE = {
    [5] = "is locked: another connection kept it for longer than the busyTimeout ({})",
    [6] = "is locked by another statement of this process ({})",
    [8] = "is read-only ({})",
    [10] = "cannot be read or written ({})",
    [11] = "is damaged ({}); `sqlite3 FILE 'PRAGMA integrity_check'` tells where: restore a copy",
    [13] = "has no room left: its disk is full, or its max_page_count is reached ({})",
    [14] = "cannot be opened or made ({}): is its directory there, and may it be written to?",
    [26] = "is no SQLite database ({})",
}

local function fail(path, code, reason)
    local advice = ADVICE[code % 256] or ": {}"
    error(("the database '%s' %s"):format(path, (advice:gsub("{}", function() return reason end))):gsub(" : ", ": "), 0)
end

-- Raises unless the code is one of success.
local function verify(self, code)
    if code ~= 0 and code ~= ROW and code ~= DONE then
        fail(self.path, code, ffi.string(lib.sqlite3_errmsg(self.db)))
    end
end

-- Statements ------------------------------------------------------------------------------------------------------

---@class moontide.sqlite.Statement
local statement = {}
statement.__index = statement

-- Of the bytes of a UTF-8 character after the first: how many there are, and from where to where the next one goes.
local function shape(byte)
    if byte < 0xc2 then
        return nil
    elseif byte < 0xe0 then
        return 1, 0x80, 0xbf
    elseif byte < 0xf0 then
        return 2, byte == 0xe0 and 0xa0 or 0x80, byte == 0xed and 0x9f or 0xbf
    elseif byte < 0xf5 then
        return 3, byte == 0xf0 and 0x90 or 0x80, byte == 0xf4 and 0x8f or 0xbf
    end
end

-- Whether a string can be TEXT: valid UTF-8 without a zero byte, where SQLite's functions would end it.
local function is_text(bytes)
    local p, i, size = ffi.cast("const uint8_t *", bytes), 0, #bytes
    while i < size do
        local byte = p[i]
        i = i + 1
        if byte == 0 then
            return false
        end
        if byte >= 0x80 then
            local more, low, high = shape(byte)
            if not more or i + more > size then
                return false
            end
            for at = i, i + more - 1 do
                if p[at] < low or p[at] > high then
                    return false
                end
                low, high = 0x80, 0xbf
            end
            i = i + more
        end
    end
    return true
end

--- Binds a value. The caller keeps strings alive until the statement was stepped.
---@param index integer from 1
---@param value any
---@return string? problem why the value cannot be stored
function statement:bind(index, value)
    local handle, kind = self.handle, type(value)
    local code
    if kind == "string" then
        local put = is_text(value) and lib.sqlite3_bind_text or lib.sqlite3_bind_blob
        code = put(handle, index, value, #value, nil)
    elseif kind == "number" then
        if value ~= value then
            return "is NaN, which SQLite would store as NULL"
        elseif value % 1 == 0 and value >= -LARGEST and value <= LARGEST then
            code = lib.sqlite3_bind_int64(handle, index, value)
        else
            code = lib.sqlite3_bind_double(handle, index, value)
        end
    elseif value == nil or value == values.null then
        code = lib.sqlite3_bind_null(handle, index)
    elseif kind == "boolean" then
        code = lib.sqlite3_bind_int64(handle, index, value and 1 or 0)
    elseif kind == "cdata" and (ffi.istype("int64_t", value) or ffi.istype("uint64_t", value) and value < 2 ^ 63) then
        code = lib.sqlite3_bind_int64(handle, index, value)
    elseif kind == "cdata" then
        return ("is %s, and SQLite's whole numbers end at 9223372036854775807"):format(tostring(value))
    else
        return ("is a %s: a column holds a number, a string, a boolean or null"):format(kind)
    end
    verify(self.connection, code)
end

--- Runs the statement up to its next row.
---@return boolean row there is one
function statement:step()
    local code = lib.sqlite3_step(self.handle)
    verify(self.connection, code)
    return code == ROW
end

--- Runs a statement that gives no rows, and makes it ready for the next values.
function statement:run()
    local handle = self.handle
    local code = lib.sqlite3_step(handle)
    local again = lib.sqlite3_reset(handle)
    verify(self.connection, code == DONE and again or code)
end

--- Ends a run.
function statement:reset()
    lib.sqlite3_reset(self.handle)
    lib.sqlite3_clear_bindings(self.handle)
end

--- A value of the row. Whole numbers beyond 2^53 come as int64.
---@param index integer from 1
---@return any value nil for NULL
function statement:column(index)
    local handle, at = self.handle, index - 1
    local kind = lib.sqlite3_column_type(handle, at)
    if kind == INTEGER then
        local value = lib.sqlite3_column_int64(handle, at)
        local number = tonumber(value)
        return number >= -LARGEST and number <= LARGEST and number or value
    elseif kind == FLOAT then
        return lib.sqlite3_column_double(handle, at)
    elseif BLOB_OR_TEXT[kind] then
        local bytes = lib.sqlite3_column_blob(handle, at)
        return bytes == nil and "" or ffi.string(bytes, lib.sqlite3_column_bytes(handle, at))
    end
end

--- All rows, as arrays. Runs the statement from its beginning.
---@return any[][]
function statement:rows()
    local rows, width = {}, lib.sqlite3_column_count(self.handle)
    while self:step() do
        local row = {}
        for index = 1, width do
            row[index] = self:column(index)
        end
        rows[#rows + 1] = row
    end
    self:reset()
    return rows
end

-- Connections -----------------------------------------------------------------------------------------------------

--- Opens a database. Raises the reason it cannot.
---@param path string
---@param how "create"|"read" create: it is made if it is not there
---@param busy_timeout number ms
---@return moontide.sqlite.Connection
function connection.open(path, how, busy_timeout)
    local out = ffi.new "sqlite3 *[1]"
    local code = lib.sqlite3_open_v2(path, out, how == "create" and READWRITE + CREATE or READONLY, nil)
    local self = setmetatable({ path = path, db = out[0] ~= nil and ffi.gc(out[0], lib.sqlite3_close_v2), statements = {} }, connection)
    if code ~= 0 then
        self:close()
        fail(path, code, ffi.string(lib.sqlite3_errstr(code)))
    end
    verify(self, lib.sqlite3_busy_timeout(self.db, busy_timeout))
    return self
end

--- Compiles a statement. It lasts as long as the connection.
---@param sql string
---@return moontide.sqlite.Statement
function connection:prepare(sql)
    local out = ffi.new "sqlite3_stmt *[1]"
    verify(self, lib.sqlite3_prepare_v2(self.db, sql, #sql, out, nil))
    local made = setmetatable({ connection = self, handle = out[0] }, statement)
    self.statements[#self.statements + 1] = made
    return made
end

--- Runs SQL without values and without rows.
---@param sql string
function connection:execute(sql)
    verify(self, lib.sqlite3_exec(self.db, sql, nil, nil, nil))
end

--- Whether the file cannot be written to.
---@return boolean
function connection:is_read_only()
    return lib.sqlite3_db_readonly(self.db, "main") == 1
end

--- Whether a transaction is open.
---@return boolean
function connection:in_transaction()
    return lib.sqlite3_get_autocommit(self.db) == 0
end

--- Closes it, what is not committed is undone. Once is enough.
function connection:close()
    for _, one in ipairs(self.statements) do
        lib.sqlite3_finalize(one.handle)
    end
    self.statements = {}
    if self.db then
        lib.sqlite3_close_v2(ffi.gc(self.db, nil))
        self.db = nil
    end
end

return connection
