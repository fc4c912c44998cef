-- Keeps clear of a mistake of LuaJIT's compiler. Loaded first, by the driver's state and by every worker's.
--
-- In the 2.1 betas, which Linux distributions ship, loads from a table made in the same loop may be replaced by what its
-- constructor says, although another store or a rehash came between (LuaJIT issues 980 and 994, fixed in the rolling
-- releases of 2023). Such a loop computes with wrong values, or leaves a trace behind that crashes the garbage collector.
-- Loops with table constructors are what scripts are made of, so the optimisation is switched off there. It costs little:
-- loads stay in the first cache.
if jit and jit.version:find("beta", 1, true) then
    require("jit.opt").start("-fwd")
end

return {}
