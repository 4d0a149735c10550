//! A place to work in that the kernel clears away: mounts only this process and its children see,
//! and loop devices that end with their mount. However the process ends, nothing is left.
//!
//! The process that serves a disk must never wait for that disk, not even while it is killed, or
//! both wait for ever. So what lies on the disks is mounted, used and unmounted by children, in
//! mounts that belong to a holder: when this process dies, its disks fail, the children get
//! errors and end, and the mounts end with the holder.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fuser::{BackgroundSession, Config, MountOption};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;

use crate::serve::Shelf;

/// Covered with a file system in memory, for us alone: there is nothing to remove afterwards.
const DIR: &str = "/dev/shm";
/// How long a mount or its end may take on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(30);
const DISK_BYTES: u64 = 24 << 20;

/// The place, until it is dropped.
pub(crate) struct Place {
    pub(crate) shelf: Shelf,
    session: Option<BackgroundSession>,
    holder: Option<Child>,
}

/// A file system that is mounted until this is dropped.
pub(crate) struct Mounted<'a>(&'a Place, PathBuf);

/// Ends this child when its parent ends: without it there is no disk.
pub(crate) fn end_with_the_parent() {
    // If it cannot be done, the child ends when nobody hears it.
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).ok();
}

/// Holds the mounts of what lies on the disks, until the parent goes.
pub(crate) fn hold() -> Result<(), String> {
    end_with_the_parent();
    unshare(CloneFlags::CLONE_NEWNS).map_err(why("mounts of our own"))?;
    std::io::stdout().write_all(b"h").map_err(why("the parent"))?;
    std::io::stdout().flush().map_err(why("the parent"))?;
    std::io::stdin().read(&mut [0]).map(|_| ()).map_err(why("the parent"))
}

fn why<E: std::fmt::Display>(what: &str) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}

impl Place {
    /// # Errors
    /// Why power cannot be cut on this machine.
    pub(crate) fn new() -> Result<Self, String> {
        if !nix::unistd::geteuid().is_root() {
            return Err("only root may mount".to_owned());
        }
        for device in ["/dev/fuse", "/dev/loop-control"] {
            if !Path::new(device).exists() {
                return Err(format!("there is no {device}"));
            }
        }
        unshare(CloneFlags::CLONE_NEWNS).map_err(why("mounts of our own"))?;
        let none = None::<&str>;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).map_err(why("mounts of our own"))?;
        let mut place = Self { shelf: Shelf::default(), session: None, holder: None };
        mount(Some("tmpfs"), DIR, Some("tmpfs"), MsFlags::empty(), none)
            .map_err(why("a file system in memory"))?;
        for name in ["disks", "live", "again", "look"] {
            std::fs::create_dir(place.path(name)).map_err(why("a directory"))?;
        }
        let mut config = Config::default();
        config.mount_options = vec![MountOption::FSName("jidoka-power".to_owned())];
        let session = fuser::spawn_mount(place.shelf.clone(), place.path("disks"), &config);
        place.session = Some(session.map_err(why("FUSE"))?);
        let program = std::env::current_exe().map_err(why("this program"))?;
        let mut command = Command::new(program);
        command.arg("hold").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().map_err(why("the holder"))?;
        let output = holder.stdout.take();
        place.holder = Some(holder);
        let held = output.is_some_and(|mut output| output.read_exact(&mut [0]).is_ok());
        if held { Ok(place) } else { Err("mounts of our own".to_owned()) }
    }

    /// A command that sees what is mounted on the disks.
    pub(crate) fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        let holder = self.holder.as_ref().map_or(0, Child::id);
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{holder}/ns/mnt")).arg("--").arg(program);
        command
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(DIR).join(name)
    }

    /// The bytes of a disk with an empty ext4 on it.
    pub(crate) fn blank(&self) -> Result<Vec<u8>, String> {
        let file = self.path("blank");
        let made = std::fs::File::create(&file).and_then(|disk| disk.set_len(DISK_BYTES));
        made.map_err(why("a file for a disk"))?;
        let mut command = Command::new("mkfs.ext4");
        command.args(["-q", "-F", "-b", "4096", "-E", "lazy_itable_init=0,nodiscard"]).arg(&file);
        finish(&mut command)?;
        std::fs::read(&file).map_err(why("the new disk"))
    }

    /// Mounts the disk in `file` at the directory `name` through a loop device.
    pub(crate) fn mount(&self, file: &Path, name: &str) -> Result<Mounted<'_>, String> {
        let dir = self.path(name);
        let mut command = self.inside("mount");
        finish(command.args(["-t", "ext4", "-o", "loop"]).arg(file).arg(&dir))?;
        Ok(Mounted(self, dir))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It has nothing to say when it goes.
        if let Some(mut holder) = self.holder.take() {
            holder.kill().and_then(|()| holder.wait()).ok();
        }
        if let Some(session) = self.session.take()
            && let Err(error) = session.umount_and_join()
        {
            eprintln!("the disks stay mounted until this process ends: {error}");
        }
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let until = Instant::now() + PATIENCE;
        loop {
            match finish(self.0.inside("umount").arg(&self.1)) {
                // The kernel uses it for a moment after its last user has gone.
                Err(what) if what.contains("busy") && Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(what) => {
                    eprintln!("mounted until this process ends: {what}");
                    return;
                }
                Ok(()) => return,
            }
        }
    }
}

/// Runs a command to its end; a result other than success is an error that says it.
fn finish(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(why(&name))?;
    let until = Instant::now() + PATIENCE;
    while child.try_wait().map_err(why(&name))?.is_none() {
        if Instant::now() > until {
            // If it cannot be killed either, it ends with us: then the disks fail.
            return Err(child.kill().map_or_else(why(&name), |()| format!("{name}: too slow")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().map_err(why(&name))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}
