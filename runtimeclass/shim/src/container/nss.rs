//! How the C library looks up names of hosts, users and groups in a container's process: by files and DNS alone. Else
//! it would read the image's `/etc/nsswitch.conf` and load the libraries that this names into the process that serves a
//! component.

use anyhow::Result;

/// Databases and the services that answer for them, all of which are built into glibc from 2.34 on.
#[cfg(target_env = "gnu")]
const SERVICES: [(&std::ffi::CStr, &std::ffi::CStr); 3] = [
    (c"hosts", c"files dns"),
    (c"passwd", c"files"),
    (c"group", c"files"),
];

/// Fixes the services for this process and what is forked from it.
#[cfg(target_env = "gnu")]
pub(super) fn fix() -> Result<()> {
    unsafe extern "C" {
        /// Overrides a line of nsswitch.conf. 0 is success.
        fn __nss_configure_lookup(
            database: *const std::ffi::c_char,
            services: *const std::ffi::c_char,
        ) -> std::ffi::c_int;
    }
    for (database, services) in SERVICES {
        // SAFETY: both are text that ends with a zero and lives for ever; glibc copies what it keeps.
        let failed = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
        anyhow::ensure!(failed == 0, "cannot fix how {database:?} are looked up");
    }
    Ok(())
}

/// Other C libraries load nothing to look up a name.
#[cfg(not(target_env = "gnu"))]
pub(super) fn fix() -> Result<()> {
    Ok(())
}
