--- Argument checks. Misuse is raised at the line of the script that made the call, however deep inside the library it
--- was noticed, and says what was expected, what came, and the nearest valid name.

local number_text = require "moontide.base.number_text"

local check = {}

-- The folder this module was loaded from, as chunk names show it: "@moontide/" inside the program, a path otherwise.
local ROOT = debug.getinfo(1, "S").source:match("^(.*)base/check%.lua$")

local library_sources = {}

-- A script may lie in a folder that is called moontide too: only what is loaded as a module is the library.
local function is_library(source)
    local known = library_sources[source]
    if known == nil then
        known = false
        if source:sub(1, #ROOT) == ROOT then
            local name = "moontide." .. source:sub(#ROOT + 1):gsub("%.lua$", ""):gsub("/", ".")
            known = package.loaded[(name:gsub("%.init$", ""))] ~= nil
        end
        library_sources[source] = known
    end
    return known
end

--- The calling module is part of the library, wherever it lies: the modules of stdlib/ say so when they are loaded.
function check.join_library()
    library_sources[debug.getinfo(2, "S").source] = true
end

--- Whether a chunk of that source (as debug.getinfo gives it) is part of Moontide.
check.is_library = is_library

-- By function: the file of the script that it is in, or false.
local files = setmetatable({}, { __mode = "k" })

local function file_of(fn)
    local file = files[fn]
    if file == nil then
        local info = debug.getinfo(fn, "S")
        file = info.what ~= "C" and not is_library(info.source)
            and (info.source:sub(1, 1) == "@" and info.source:sub(2) or info.short_src)
        files[fn] = file
    end
    return file
end

-- The first level above the caller of this function that runs code of the script, and the script's file; or nil.
local function script_level()
    local level = 3
    while true do
        local info = debug.getinfo(level, "f")
        if not info then
            return nil
        end
        local file = file_of(info.func)
        if file then
            return level - 1, file
        end
        level = level + 1
    end
end

--- Raises a formatted message at the line of the script that called into the library.
---@param format string
---@param ... any
function check.fail(format, ...)
    local message = select("#", ...) > 0 and string.format(format, ...) or format
    error(message, (script_level()) or 0)
end

--- Where the script called into the library: "job.lua:12", or "?" when no script is on the stack.
---@return string
function check.site()
    local level, file = script_level()
    return level and ("%s:%d"):format(file, debug.getinfo(level, "l").currentline) or "?"
end

--- Takes the position that `error` put in front of a message raised inside the library away again.
---@param message any
---@return string
function check.without_position(message)
    message = tostring(message)
    local prefix = ROOT:sub(2)
    local position, rest = message:match("^(.-%.lua):%d+: (.*)$")
    if position and (position:sub(1, #prefix) == prefix or position:find("moontide/", 1, true)) then
        return rest
    end
    return message
end

--- "DStream" for a stream, "RDD" for a dataset, else Lua's own type name.
---@param value any
---@return string
function check.type_name(value)
    local metatable = type(value) == "table" and getmetatable(value)
    return type(metatable) == "table" and type(metatable.__name) == "string" and metatable.__name or type(value)
end

--- How many letters have to be changed, added, left out or swapped with the next to make one word of the other.
---@param a string
---@param b string
---@return integer
local function distance(a, b)
    local above2, above = {}, {}
    for j = 0, #b do
        above[j] = j
    end
    for i = 1, #a do
        local row = { [0] = i }
        for j = 1, #b do
            local same = a:byte(i) == b:byte(j)
            row[j] = math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (same and 0 or 1))
            if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
                row[j] = math.min(row[j], above2[j - 2] + 1)
            end
        end
        above2, above = above, row
    end
    return above[#b]
end

check.distance = distance

--- The candidate that differs least from `name`, or nil when none is near.
---@param name string
---@param candidates string[]
---@return string?
function check.nearest(name, candidates)
    local best, best_distance
    local lower = name:lower()
    for _, candidate in ipairs(candidates) do
        local other = candidate:lower()
        local d = distance(lower, other)
        -- An abbreviation or a longer form is near, however many letters are missing.
        local short, long = lower, other
        if #short > #long then
            short, long = long, short
        end
        if #short >= 3 and d > 2 and long:sub(1, #short) == short then
            d = 2
        end
        if d <= math.max(1, math.floor(#name / 3))
                and (not best or d < best_distance or d == best_distance and candidate < best) then
            best, best_distance = candidate, d
        end
    end
    return best
end

--- "; did you mean 'x'?" or "".
---@param name string
---@param candidates string[]
---@return string
function check.suggestion(name, candidates)
    local near = check.nearest(name, candidates)
    return near and "; did you mean '" .. near .. "'?" or ""
end

--- The keys of a table, in order.
---@param map table<string, any>
---@return string[]
function check.names(map)
    local names = {}
    for name in pairs(map) do
        if type(name) == "string" then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

local function bad_argument(index, method, expected, value)
    check.fail("bad argument #%d to '%s' (%s expected, got %s)", index, method, expected, check.type_name(value))
end

--- Raises "bad argument #1 to 'map' (function expected, got nil)".
check.bad_argument = bad_argument

--- Argument `index` of `method` must be a Lua function.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@return function value
function check.func(index, method, value)
    if type(value) ~= "function" then
        bad_argument(index, method, "function", value)
    end
    return value
end

--- Argument `index` of `method` must be text; with `filled`, not empty.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@param filled? boolean refuse an empty text too, default false
---@return string value
function check.text(index, method, value, filled)
    if type(value) ~= "string" then
        bad_argument(index, method, "string", value)
    end
    if filled and value == "" then
        check.fail("bad argument #%d to '%s' (the text is empty)", index, method)
    end
    return value
end

--- Argument `index` of `method` must be true or false; nil gives `default` where there is one.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@param default? boolean
---@return boolean value
function check.boolean(index, method, value, default)
    if value == nil and default ~= nil then
        return default
    end
    if type(value) ~= "boolean" then
        bad_argument(index, method, "boolean", value)
    end
    return value
end

--- Why `value` is not a whole number in min…max, or nil when it is one.
---@param value any
---@param min number
---@param max number; from 2^53 on, messages name no upper limit
---@return string?
function check.not_integer(value, min, max)
    if type(value) ~= "number" then
        return ("whole number expected, got %s"):format(check.type_name(value))
    end
    if value ~= math.floor(value) or value - value ~= 0 then
        return ("whole number expected, got %s"):format(number_text(value))
    end
    if value < min or value > max then
        if max >= 2 ^ 53 then
            return ("at least %s expected, got %s"):format(number_text(min), number_text(value))
        end
        return ("a number from %s to %s expected, got %s"):format(number_text(min), number_text(max),
            number_text(value))
    end
end

--- Argument `index` of `method` must be a whole number in min…max; nil gives `default` where there is one.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@param min? integer default -2^53
---@param max? integer default 2^53
---@param default? integer
---@return integer value
function check.integer(index, method, value, min, max, default)
    if value == nil and default ~= nil then
        return default
    end
    local reason = check.not_integer(value, min or -2 ^ 53, max or 2 ^ 53)
    if reason then
        check.fail("bad argument #%d to '%s' (%s)", index, method, reason)
    end
    return value
end

local LONGEST_NAME = 200 -- bytes

--- Why `value` cannot name a stream or an output, or nil when it can: such names stand in messages and on disk.
---@param value any
---@return string?
function check.not_name(value)
    if type(value) ~= "string" then
        return "a name (string) expected, got " .. check.type_name(value)
    elseif value == "" then
        return "the name is empty"
    elseif #value > LONGEST_NAME then
        return ("the name has %d bytes, at most %d are possible"):format(#value, LONGEST_NAME)
    elseif value:find("%c") then
        return "the name has control characters"
    end
end

check.MAX_PARTITIONS = 100000

--- A number of partitions; nil gives `default`.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@param default? integer
---@return integer value
function check.partitions(index, method, value, default)
    if value == nil and default ~= nil then
        return default
    end
    local reason = check.not_integer(value, 1, check.MAX_PARTITIONS)
    if reason then
        check.fail("bad argument #%d to '%s' (number of partitions: %s)", index, method, reason)
    end
    return value
end

--- Why `value` is not an array, or nil when it is one (a table with nothing but the keys 1…#t).
---@param value any
---@return string?
function check.not_array(value)
    if type(value) ~= "table" or check.type_name(value) ~= "table" and not check.is_values_array(value) then
        return "array expected, got " .. check.type_name(value)
    end
    local count = #value
    if require("moontide.base.iterate").array_length(value) == count then
        return nil
    end
    for key in pairs(value) do
        if type(key) ~= "number" or key < 1 or key > count or key ~= math.floor(key) then
            return ("array expected, got a table with the key %s"):format(type(key) == "string"
                and "'" .. key .. "'" or tostring(key))
        end
    end
end

--- `moontide.array{}` marks its tables with a metatable of its own.
---@param value any
---@return boolean
function check.is_values_array(value)
    return require("moontide.base.values").is_array(value)
end

--- Argument `index` of `method` must be an array.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@return any[] value
function check.array(index, method, value)
    local reason = check.not_array(value)
    if reason then
        check.fail("bad argument #%d to '%s' (%s)", index, method, reason)
    end
    return value
end

--- Argument `index` of `method` must be a handle of the class `class`, made by check.class.
---@param index integer number of the argument, for the message
---@param method string that was called, for the message
---@param value any
---@param class table a metatable
---@return table value
function check.handle(index, method, value, class)
    if getmetatable(value) ~= class then
        bad_argument(index, method, class.__name, value)
    end
    return value
end

--- All arguments of `method` must be such handles, and there is at least one.
---@param method string that was called, for the message
---@param class table a metatable
---@param ... any self and the arguments
---@return table[] handles
function check.handles(method, class, ...)
    local handles = { ... }
    for index = 2, math.max(2, select("#", ...)) do
        check.handle(index - 1, method, handles[index], class)
    end
    return handles
end

--- Raised where a checkpoint would be needed: they come with a later release.
---@param what string that was asked for
function check.no_recovery(what)
    check.fail("%s: checkpoint recovery is not part of this release; create the context with (master, appName, batch)",
        what)
end

--- The options table given to `what` may hold only the names in `valid` (a list of names).
---@param what string e.g. "StreamingContext"
---@param options table
---@param valid string[]
function check.options(what, options, valid)
    local known = {}
    for _, name in ipairs(valid) do
        known[name] = true
    end
    for _, name in ipairs(check.names(options)) do
        if not known[name] then
            check.fail("%s has no option '%s'%s (options: %s)", what, name, check.suggestion(name, valid),
                table.concat(valid, ", "))
        end
    end
    for name in pairs(options) do
        if type(name) ~= "string" then
            check.fail("%s takes named options; the table has the key %s", what, tostring(name))
        end
    end
end

-- The method with a check in front: arguments beyond its own must be nil (moontide.base.surplus says why).
local function sealed(class, name, method)
    local info = debug.getinfo(method, "u")
    if info.isvararg then
        return method
    end
    local most = info.nparams -- with the receiver
    return function(self, ...)
        if select("#", ...) >= most then
            require("moontide.base.surplus").refuse(check, class, name, most - 1, ...)
        end
        return method(self, ...)
    end
end

--- A metatable for handles. Asking a handle for a name that it does not have is an error that proposes the nearest one.
---@param name string as shown in messages: "DStream"
---@param article string "a" or "an"
---@param methods table<string, function> public methods
---@param later table<string, string> methods of Spark that this release lacks, and why or what to use instead
---@return table metatable
function check.class(name, article, methods, later)
    local ready = {} -- methods with the check of their arguments
    local function missing(_, key)
        local method = ready[key]
        if method ~= nil then
            return method
        end
        method = methods[key]
        if type(method) == "function" then
            ready[key] = sealed(name, key, method)
            return ready[key]
        elseif method ~= nil then
            return method
        end
        if type(key) ~= "string" then
            check.fail("%s %s cannot be indexed with %s", article, name, tostring(key))
        end
        if later[key] then
            check.fail("%s has no method '%s' in this release: %s", name, key, later[key])
        end
        check.fail("%s has no method '%s'%s", name, key, check.suggestion(key, check.names(methods)))
    end
    return {
        __name = name,
        __moontide = name, -- by this closure packing knows what cannot leave the driver
        __index = missing,
        __newindex = function(_, key)
            check.fail("%s %s cannot be changed (field '%s')", article, name, tostring(key))
        end,
    }
end

--- The receiver of a method call. `.` instead of `:` is the usual reason when it is something else.
---@param self any
---@param class table
---@param method string
function check.self(self, class, method)
    if getmetatable(self) ~= class then
        check.fail("'%s' was called on %s instead of a %s: write x:%s(…) with a colon, not x.%s(…)", method,
            self == nil and "nothing" or "a " .. check.type_name(self), class.__name, method, method)
    end
end

return check
