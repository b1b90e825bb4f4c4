//! What executing a program takes from a process. The kernel recomputes capabilities at `execve`; a process that serves
//! a component or runs a WASI command executes nothing, and would keep what libcontainer gave it.

use libcontainer::oci_spec::runtime::{
    Capabilities, LinuxCapabilities, LinuxCapabilitiesBuilder, Process,
};

/// Leaves a process the capabilities that it would have after executing a program without file capabilities, and no
/// way to others: no bounding set, and `no_new_privs`.
pub(super) fn reduce_as_by_execve(process: &mut Process) {
    let sets = process.capabilities().as_ref().map(|sets| {
        let kept = kept(sets, process.user().uid() == 0);
        let none = Capabilities::new;
        LinuxCapabilitiesBuilder::default()
            .bounding(none())
            .inheritable(none())
            .ambient(none())
            .effective(kept.clone())
            .permitted(kept)
            .build()
    });
    // Sets that are all given can be built.
    process.set_capabilities(sets.and_then(Result::ok));
    process.set_no_new_privileges(Some(true));
}

/// Root keeps what it may have, any other user the ambient set (capabilities(7), "Transformation of capabilities
/// during execve").
fn kept(sets: &LinuxCapabilities, root: bool) -> Capabilities {
    let of = |set: &Option<Capabilities>| set.clone().unwrap_or_default();
    match root {
        true => &of(sets.bounding()) | &of(sets.inheritable()),
        false => of(sets.ambient()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcontainer::oci_spec::runtime::{Capability, ProcessBuilder, UserBuilder};

    fn reduced(user: u32) -> LinuxCapabilities {
        let set = |all: &[Capability]| all.iter().copied().collect::<Capabilities>();
        let sets = LinuxCapabilitiesBuilder::default()
            .bounding(set(&[Capability::Chown, Capability::Mknod]))
            .effective(set(&[Capability::Chown]))
            .permitted(set(&[Capability::Chown, Capability::Kill]))
            .inheritable(set(&[Capability::Kill]))
            .ambient(set(&[Capability::NetRaw]));
        let user = UserBuilder::default().uid(user).gid(0u32);
        let mut process = ProcessBuilder::default()
            .capabilities(sets.build().expect("sets"))
            .user(user.build().expect("a user"))
            .cwd("/")
            .build()
            .expect("a process");
        reduce_as_by_execve(&mut process);
        assert_eq!(process.no_new_privileges(), Some(true));
        process.capabilities().clone().expect("sets")
    }

    #[test]
    fn root_keeps_what_it_may_have_and_others_what_is_ambient() {
        let root = [Capability::Chown, Capability::Mknod, Capability::Kill];
        let user = [Capability::NetRaw];
        for (uid, expected) in [(0, &root[..]), (1000, &user[..])] {
            let sets = reduced(uid);
            let expected: Capabilities = expected.iter().copied().collect();
            assert_eq!(sets.effective().as_ref(), Some(&expected), "{uid}");
            assert_eq!(sets.permitted().as_ref(), Some(&expected), "{uid}");
            for set in [sets.bounding(), sets.inheritable(), sets.ambient()] {
                assert_eq!(set.as_ref(), Some(&Capabilities::new()), "{uid}");
            }
        }
    }
}
