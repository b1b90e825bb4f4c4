//! The C library's name lookups in a container's process: hosts, users and groups come from files and DNS only. Otherwise the
//! C library would read the image's `/etc/nsswitch.conf` and load the libraries that it names into the process.

use anyhow::Result;

/// The databases and their services. All of these services are built into glibc 2.34 and newer.
#[cfg(target_env = "gnu")]
const SERVICES: [(&std::ffi::CStr, &std::ffi::CStr); 3] = [
    (c"hosts", c"files dns"),
    (c"passwd", c"files"),
    (c"group", c"files"),
];

/// Sets the services of this process and all that are forked from it.
#[cfg(target_env = "gnu")]
pub(crate) fn fix() -> Result<()> {
    unsafe extern "C" {
        /// Overrides a line of nsswitch.conf. Returns 0 on success.
        fn __nss_configure_lookup(
            database: *const std::ffi::c_char,
            services: *const std::ffi::c_char,
        ) -> std::ffi::c_int;
    }
    for (database, services) in SERVICES {
        // SAFETY: both are zero-terminated static strings.
        let failed = unsafe { __nss_configure_lookup(database.as_ptr(), services.as_ptr()) };
        anyhow::ensure!(
            failed == 0,
            "cannot set the services of the NSS database {database:?}"
        );
    }
    Ok(())
}

/// Does nothing, because other C libraries load no libraries for a lookup.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn fix() -> Result<()> {
    Ok(())
}
