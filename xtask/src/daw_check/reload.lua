-- Opens the saved session again, says what the plugin in it is set to, and saves it unchanged.
local folder = os.getenv("DAW_SESSION")

AudioEngine:set_backend("None (Dummy)", "", "")
local session = load_session(folder, "session")
assert(session, "no session")
local plugin = session:route_by_name("Song"):nth_plugin(0)
sleep(1)
local file = assert(io.open(folder .. "/../reloaded.json", "w"))
file:write(string.format('{"other_mute": %g, "vocals_mute": %g, "song_latency_frames": %d}',
	ARDOUR.LuaAPI.get_processor_param(plugin, 22, true), ARDOUR.LuaAPI.get_processor_param(plugin, 2, true),
	plugin:to_insert():signal_latency()))
file:close()
session:save_state("", false, false, false, false, false)
close_session()
quit()
