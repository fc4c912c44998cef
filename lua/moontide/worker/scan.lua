--- string.gmatch for workers. LuaJIT interprets the library's gmatch, which dominates the time of jobs that split text. For patterns that
--- are one class repeated ("%S+", "[^,]+", "([%w_]+)") this one finds the spans with one C call each and compiles; any other
--- pattern goes to the original. Results are the same.
local fast = require "moontide.wire.ffi"

local ffi, C = fast.ffi, fast.C
-- gmatch: messages name a function as its caller does.
local gmatch, sub, type, tostring = string.gmatch, string.sub, type, tostring

local scan = {}

local run = ffi.new "struct tide_span"

-- The class of a pattern of the form ITEM+ or (ITEM+), or false.
local function class_of(pattern)
    local item = pattern:match("^%((.*)%+%)$") or pattern:match("^(.*)%+$")
    if item == nil then
        return false
    end
    local single = item:find("^%%[acdlpsuwxzACDLPSUWXZ]$") or item:find("^%%%p$") or item:find("^[^%^%$%*%+%?%.%(%)%[%]%%%-]$")
        or item == "." or item:find("^%[%^?[^%]%[%%][^%]%[]*%]$") or item:find("^%[%^?%%[^%]%[]*%]$")
    if not single or item:find("%[%^?[^%]]*%%$") or item:find("%z") then
        return false
    end
    local ok = pcall(string.find, "", "^" .. item .. "$")
    if not ok then
        return false
    end
    local class = ffi.new "uint8_t[256]"
    for byte = 0, 255 do
        class[byte] = string.find(string.char(byte), "^" .. item .. "$") and 1 or 0
    end
    return class
end

-- By pattern. Bounded: a script may make patterns as it goes.
local KEEP = 1000
local classes, class_count = {}, 0

local function new_class(pattern)
    if class_count == KEEP then
        classes, class_count = {}, 0
    end
    local class = class_of(pattern)
    classes[pattern] = class
    class_count = class_count + 1
    return class
end

--- What gmatch returns here: callable like the original's iterator. It is a table and no closure because LuaJIT does not
--- compile the making of closures; generated loops look inside and scan without calling it.
local Scanner = {}
scan.Scanner = Scanner

function Scanner.__call(self)
    if C.tide_scan_run(self.class, self.text, #self.text, self.at, run) == 0 then
        return
    end
    self.at = run.stop
    local found = sub(self.text, run.start + 1, run.stop)
    return found -- no tail call, see wire/unpack.lua
end

--- Like string.gmatch.
function scan.gmatch(text, pattern)
    local class = classes[pattern]
    if class == nil then
        if type(pattern) ~= "string" then
            return (gmatch(text, pattern))
        end
        class = new_class(pattern)
    end
    if not class then
        return (gmatch(text, pattern))
    end
    if type(text) ~= "string" then
        if type(text) ~= "number" then
            return (gmatch(text, pattern))
        end
        text = tostring(text)
    end
    local scanner = { text = text, class = class, at = 0 }
    setmetatable(scanner, Scanner)
    return scanner
end

--- Puts it in the place of string.gmatch in this state.
function scan.install()
    string.gmatch = scan.gmatch -- luacheck: ignore 122 (replacing the library's is what this is for)
end

scan.run, scan.find = run, C.tide_scan_run

return scan
