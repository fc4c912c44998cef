--- The bytes of a closure package: written by `moontide.closure`, read by `moontide.closure.unpack`.
--
-- A package is a graph of nodes, numbered from 1 in the order in which packing met them.
--
--   head     magic "MTCP", format byte, length byte + build tag, then seven 32-bit words:
--              nodes, bytes of directory, bytes of body, bytes of claims, content digest (2), head digest
--   directory  label of the package (for messages), then one entry per node: kind, shape, bytes of its record
--   body       the root value, then one record per node, in order
--   claims     nodes that an earlier package contains too (see `moontide.closure.identity`), grouped by package
--
--   kind      shape in the directory                         record in the body
--   table     #array, #hash, has metatable                   array values, key and value pairs, metatable
--   function  node of its bytecode, node of its environment  number of upvalues, then for each a value or a cell
--   cell      -                                              value of a variable that functions share and assign to
--   env       1: the globals, 0: set by setfenv              -
--   global    node of the environment                        name, value; "string.trim": a field of a standard library
--   path      module, number of fields, fields               -
--   bytecode  -                                              a dump
--   shared    class and number of a shared variable          nothing; of an accumulator zero value and merge function
--
-- Values start with a tag byte; everything that is not a plain value is a reference to a node. Lengths, counts and
-- node numbers are ULEB128. The digests detect damaged bytes (LuaJIT must never be given damaged bytecode) and the
-- content digest is the name of the package in claims; it is not cryptographic.
local ffi = require "ffi"
local bit = require "bit"
local bytecode = require "moontide.closure.bytecode"
local null = require("moontide.base.values").null

local band, bor, bxor, rol = bit.band, bit.bor, bit.bxor, bit.rol
local rshift, tobit = bit.rshift, bit.tobit
local cast, copy, ffi_string, istype = ffi.cast, ffi.copy, ffi.string, ffi.istype
local type, floor = type, math.floor
local char, byte = string.char, string.byte

local const_bytes = ffi.typeof("const uint8_t *")
local const_words = ffi.typeof("const int32_t *")
local byte_array = ffi.typeof("uint8_t[?]")
local int64, uint64 = ffi.typeof("int64_t"), ffi.typeof("uint64_t")
local scratch_double = ffi.new("double[1]")
local scratch_int64, scratch_uint64 = ffi.new("int64_t[1]"), ffi.new("uint64_t[1]")

local NIL, FALSE, TRUE, INT, DOUBLE, STRING, REF, CELL, INT64, UINT64, NULL = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10

---@class moontide.closure.format
local M = {}

M.TABLE, M.FUNCTION, M.CELL, M.ENV, M.GLOBAL, M.PATH, M.BYTECODE, M.SHARED = 1, 2, 3, 4, 5, 6, 7, 8

local MAGIC = "MTCP"
local FORMAT = 2

--- Bytecode is only valid for the LuaJIT build that made it; the tag names that build.
M.TAG = ("%s %s %s bytecode %d"):format(jit.version, jit.arch, ffi.abi("gc64") and "gc64" or "gc32", bytecode.version())
assert(#M.TAG < 128)

local PREFIX = MAGIC .. string.char(FORMAT, #M.TAG) .. M.TAG
local HEAD_BYTES = #PREFIX + 4 * 7

-- Digest ---------------------------------------------------------------------------------------------------------

--- Two 32-bit lanes over 8 bytes a step. Every step is a bijection of the lane, so no single damaged word can pass.
--- `s` is read from offset `from`, `n` bytes; `a` and `b` are seeds, or what an earlier part gave.
local function digest(s, from, n, a, b)
    local p = cast(const_bytes, s) + from
    local w = cast(const_words, p)
    local steps = rshift(n, 3)
    a, b = bxor(a, n), bxor(b, n)
    for i = 0, 2 * steps - 2, 2 do
        a = tobit(rol(bxor(a, w[i]), 13) * 5 + 0x6546b64)
        b = tobit(rol(bxor(b, w[i + 1], a), 17) * 5 + 0x38495ab5)
    end
    for i = 8 * steps, n - 1 do
        a = tobit(rol(bxor(a, p[i]), 13) * 5 + 0x6546b64)
        b = tobit(rol(bxor(b, a), 17) * 5 + 0x38495ab5)
    end
    for _ = 1, 3 do
        a = tobit(bxor(a, rshift(a, 15), b) * 5 + 0x1b873593)
        b = tobit(bxor(b, rshift(b, 13), a) * 9 + 0x0c9e2d51)
    end
    return a, b
end

-- Writer ---------------------------------------------------------------------------------------------------------

---@class moontide.closure.Writer
---@field p ffi.cdata*
---@field n integer bytes written
---@field cap integer
---@field limit integer most bytes this writer takes
---@field wanted? integer how many it would have needed, when that was too much
local Writer = {}
Writer.__index = Writer

--- Raised (as a table, compared by identity) when a writer passes its limit.
M.TOO_BIG = {}

local INITIAL = 4096
local KEEP = 1024 * 1024

-- LuaJIT 2.1 can lose stores to a fresh array when ffi.string reads the array in the same compiled trace. Arrays are
-- therefore made in functions that are never compiled, so that no trace sees one being made.
local function new_bytes(n)
    return byte_array(n)
end
jit.off(new_bytes)

--- A writer of packages.
---@param limit integer bytes that a package may have
---@return moontide.closure.Writer
function M.writer(limit)
    return setmetatable({ p = new_bytes(INITIAL), n = 0, cap = INITIAL, limit = limit }, Writer)
end

--- Makes a writer ready for the next package; gives back the memory of an unusually large one.
function Writer:reset(limit)
    if self.cap > KEEP then
        self.p, self.cap = new_bytes(INITIAL), INITIAL
    end
    self.n, self.limit, self.wanted = 0, limit, nil
end

function Writer:grow(need)
    if need > self.limit then
        self.wanted = need
        error(M.TOO_BIG, 0)
    end
    local cap = self.cap
    while cap < need do
        cap = cap * 2
    end
    local p = new_bytes(cap)
    copy(p, self.p, self.n)
    self.p, self.cap = p, cap
end

function Writer:byte(v)
    local n = self.n
    if n >= self.cap then
        self:grow(n + 1)
    end
    self.p[n] = v
    self.n = n + 1
end

--- Whole numbers from 0 to 2^32 - 1.
function Writer:uint(v)
    local n = self.n
    if n + 5 > self.cap then
        self:grow(n + 5)
    end
    local p = self.p
    while v >= 0x80 do
        p[n] = bor(band(v, 0x7f), 0x80)
        n = n + 1
        v = floor(v / 0x80)
    end
    p[n] = v
    self.n = n + 1
end

function Writer:string(s)
    local length = #s
    self:uint(length)
    local n = self.n
    if n + length > self.cap then
        self:grow(n + length)
    end
    copy(self.p + n, s, length)
    self.n = n + length
end

function Writer:raw(source, length)
    local n = self.n
    if n + length > self.cap then
        self:grow(n + length)
    end
    copy(self.p + n, source, length)
    self.n = n + length
end

--- Writes nil, a boolean, a number, a string or a 64-bit integer; returns false for everything else.
---@return boolean written
function Writer:scalar(v)
    local t = type(v)
    if t == "string" then
        self:byte(STRING)
        self:string(v)
    elseif t == "number" then
        -- The small integers; 1/v tells -0, which has to keep its sign, from 0.
        if v == floor(v) and v >= -0x3fffffff and v <= 0x3fffffff and (v ~= 0 or 1 / v > 0) then
            self:byte(INT)
            self:uint(v >= 0 and v * 2 or -v * 2 - 1)
        else
            self:byte(DOUBLE)
            -- One NaN for all: its sign and payload depend on how it was computed.
            scratch_double[0] = v == v and v or 0 / 0
            local at = self.n
            self:raw(scratch_double, 8)
            if v ~= v then
                self.p[at + 7] = 0x7f
            end
        end
    elseif t == "nil" then
        self:byte(NIL)
    elseif t == "boolean" then
        self:byte(v and TRUE or FALSE)
    elseif t == "cdata" and istype(int64, v) then
        self:byte(INT64)
        scratch_int64[0] = v
        self:raw(scratch_int64, 8)
    elseif t == "cdata" and istype(uint64, v) then
        self:byte(UINT64)
        scratch_uint64[0] = v
        self:raw(scratch_uint64, 8)
    elseif t == "userdata" and v == null then
        self:byte(NULL)
    else
        return false
    end
    return true
end

function Writer:ref(node)
    self:byte(REF)
    self:uint(node)
end

function Writer:cell(node)
    self:byte(CELL)
    self:uint(node)
end

--- What was written so far.
---@return string
function Writer:bytes()
    return ffi_string(self.p, self.n)
end

-- Reader ---------------------------------------------------------------------------------------------------------

---@class moontide.closure.Reader
---@field bytes string keeps the memory alive
---@field p ffi.cdata*
---@field pos integer
---@field stop integer
local Reader = {}
Reader.__index = Reader

--- A reader of `bytes` from offset `from` (from 0) up to `to` (exclusive).
---@param bytes string
---@param from integer
---@param to integer
---@return moontide.closure.Reader
function M.reader(bytes, from, to)
    return setmetatable({ bytes = bytes, p = cast(const_bytes, bytes), pos = from, stop = to }, Reader)
end

local function damaged()
    error("the closure package is damaged (a record runs past its end)", 0)
end

function Reader:byte()
    local pos = self.pos
    if pos >= self.stop then
        damaged()
    end
    self.pos = pos + 1
    return self.p[pos]
end

function Reader:uint()
    local p, pos, stop = self.p, self.pos, self.stop
    local v, unit = 0, 1
    while true do
        if pos >= stop or unit > 0x10000000 then
            damaged()
        end
        local b = p[pos]
        pos = pos + 1
        if b < 0x80 then
            self.pos = pos
            return v + b * unit
        end
        v = v + (b - 0x80) * unit
        unit = unit * 0x80
    end
end

function Reader:string()
    local length = self:uint()
    local pos = self.pos
    if pos + length > self.stop then
        damaged()
    end
    self.pos = pos + length
    return ffi_string(self.p + pos, length)
end

local function read_eight(self, scratch)
    local pos = self.pos
    if pos + 8 > self.stop then
        damaged()
    end
    copy(scratch, self.p + pos, 8)
    self.pos = pos + 8
    return scratch[0]
end

--- Reads one value. `objects` resolves references. Returns nil plus the node for a shared variable.
---@param objects table<integer, any>
---@return any value, integer? cell
function Reader:value(objects)
    local tag = self:byte()
    if tag == STRING then
        return self:string()
    elseif tag == INT then
        local v = self:uint()
        return v % 2 == 0 and v / 2 or -(v + 1) / 2
    elseif tag == REF then
        return objects[self:uint()]
    elseif tag == DOUBLE then
        return read_eight(self, scratch_double)
    elseif tag == TRUE then
        return true
    elseif tag == FALSE then
        return false
    elseif tag == NIL then
        return nil
    elseif tag == CELL then
        return nil, self:uint()
    elseif tag == INT64 then
        return read_eight(self, scratch_int64)
    elseif tag == NULL then
        return null
    elseif tag == UINT64 then
        return read_eight(self, scratch_uint64)
    end
    return damaged()
end

--- Steps over one value. Returns the node when it is a reference or a shared variable.
---@return integer? node
function Reader:skip()
    local tag = self:byte()
    if tag == STRING then
        self.pos = self:uint() + self.pos
        if self.pos > self.stop then
            damaged()
        end
    elseif tag == INT then
        self:uint()
    elseif tag == REF or tag == CELL then
        return self:uint()
    elseif tag == DOUBLE or tag == INT64 or tag == UINT64 then
        self.pos = self.pos + 8
        if self.pos > self.stop then
            damaged()
        end
    elseif tag > UINT64 and tag ~= NULL then
        damaged()
    end
end

-- Whole packages -------------------------------------------------------------------------------------------------

local function le32(v)
    return char(band(v, 0xff), band(rshift(v, 8), 0xff), band(rshift(v, 16), 0xff), rshift(v, 24))
end

local function read_le32(s, at)
    local b0, b1, b2, b3 = byte(s, at, at + 3)
    return b0 + b1 * 0x100 + b2 * 0x10000 + b3 * 0x1000000
end

---@class moontide.closure.Content
---@field nodes integer
---@field dir string
---@field body string
---@field name string the content digest, 8 bytes: the name of the package in claims

--- What a package is about, without claims.
---@param nodes integer
---@param dir moontide.closure.Writer
---@param body moontide.closure.Writer
---@return moontide.closure.Content
function M.content(nodes, dir, body)
    local d, r = dir:bytes(), body:bytes()
    local a, b = digest(d, 0, #d, nodes, FORMAT)
    a, b = digest(r, 0, #r, a, b)
    return { nodes = nodes, dir = d, body = r, name = le32(a) .. le32(b) }
end

--- Puts a package together.
---@param content moontide.closure.Content
---@param claims string
---@return string bytes
function M.assemble(content, claims)
    local head = le32(content.nodes) .. le32(#content.dir) .. le32(#content.body) .. le32(#claims) .. content.name
    local a, b = digest(head, 0, #head, FORMAT, 0)
    a = digest(claims, 0, #claims, a, b)
    return PREFIX .. head .. le32(a) .. content.dir .. content.body .. claims
end

---@class moontide.closure.Head
---@field nodes integer
---@field name string the content digest
---@field dir integer offsets (from 0) of the parts
---@field body integer
---@field claims integer
---@field stop integer

--- Checks a package and returns where its parts are, or nil and what is wrong with it.
---@param bytes string
---@return moontide.closure.Head? head
---@return string? err
function M.open(bytes)
    if type(bytes) ~= "string" or bytes:sub(1, 4) ~= MAGIC then
        return nil, "these bytes are not a closure package"
    end
    local broken = "the closure package is damaged (%s)"
    if #bytes < 6 then
        return nil, broken:format("its head is incomplete")
    end
    local format, tag_length = bytes:byte(5, 6)
    if format ~= FORMAT then
        return nil, ("the closure package has format %d, this program reads format %d: package the function again")
            :format(format, FORMAT)
    end
    local tag = bytes:sub(7, 6 + tag_length)
    if #tag == tag_length and tag ~= M.TAG and not tag:find("[^%w%p ]") then
        return nil, ("the closure package was made by another LuaJIT build (%s, this is %s): bytecode does not carry "
            .. "over, package the function again"):format(tag, M.TAG)
    end
    if #bytes < HEAD_BYTES or tag ~= M.TAG then
        return nil, broken:format("its head is incomplete")
    end

    local at = #PREFIX + 1
    local nodes, dir_bytes = read_le32(bytes, at), read_le32(bytes, at + 4)
    local body_bytes, claim_bytes = read_le32(bytes, at + 8), read_le32(bytes, at + 12)
    local name, check = bytes:sub(at + 16, at + 23), read_le32(bytes, at + 24)
    local dir = HEAD_BYTES
    local body = dir + dir_bytes
    local claims = body + body_bytes
    local stop = claims + claim_bytes
    if stop ~= #bytes then
        return nil, broken:format(("its head announces %.0f bytes, there are %d"):format(stop, #bytes))
    end
    local a, b = digest(bytes, at - 1, 24, FORMAT, 0)
    a = digest(bytes, claims, claim_bytes, a, b)
    local c, d = digest(bytes, dir, dir_bytes, nodes, FORMAT)
    c, d = digest(bytes, body, body_bytes, c, d)
    if check ~= a % 0x100000000 or name ~= le32(c) .. le32(d) then
        return nil, broken:format("its checksum does not match its content")
    end
    return { nodes = nodes, name = name, dir = dir, body = body, claims = claims, stop = stop }
end

return M
