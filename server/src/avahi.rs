//! Announces a server through the avahi of this machine, by D-Bus. That is the way where avahi keeps UDP port 5353 to
//! itself (`disallow-other-stacks=yes`, as TrueNAS sets it), so that an announcer of our own is not heard. Linux only
//! in effect: elsewhere there is no such bus. Interface names and signatures are those of avahi's own introspection
//! files (`org.freedesktop.Avahi.Server.xml`, `…EntryGroup.xml`, version 0.8). Must not know what a session is.

use std::{future::Future, net::SocketAddr, time::Duration};

use rehearsekit_discovery::{Announcement, SERVICE_TYPE};
use zbus::{Connection, OwnedObjectPath};

const AVAHI: &str = "org.freedesktop.Avahi";
const SERVER: &str = "org.freedesktop.Avahi.Server";
const GROUP: &str = "org.freedesktop.Avahi.EntryGroup";
/// A bus that is there but does not answer must not keep a server from anything.
const WITHIN: Duration = Duration::from_secs(3);
/// All interfaces (`AVAHI_IF_UNSPEC`).
const EVERYWHERE: i32 = -1;

/// Why avahi does not announce for us.
#[derive(Debug, thiserror::Error)]
pub enum NoAvahi {
    /// No bus, no avahi on it, or it says no.
    #[error("{0}")]
    Refused(#[from] zbus::Error),
    /// It does not answer.
    #[error("it does not answer within {} s", WITHIN.as_secs())]
    Silent,
    /// No runtime for the question.
    #[error("{0}")]
    Runtime(#[from] std::io::Error),
}

/// An announcement that avahi makes for us, until this is dropped: it forgets those of a closed connection.
pub(crate) struct Avahi {
    connection: Connection,
    group: OwnedObjectPath,
    protocol: i32,
}

/// The version of the avahi that announces for us if it is asked, like "avahi 0.8".
///
/// # Errors
/// When there is none, or it cannot be asked.
pub fn version() -> Result<String, NoAvahi> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(in_time(async {
        let connection = Connection::system().await?;
        let reply = connection.call_method(Some(AVAHI), "/", Some(SERVER), "GetVersionString", &()).await?;
        reply.body().deserialize()
    }))
}

impl Avahi {
    /// Has avahi announce a server that listens at `listening`.
    ///
    /// # Errors
    /// When there is no avahi, or it says no.
    pub(crate) async fn announce(
        announcement: &Announcement,
        listening: SocketAddr,
    ) -> Result<Self, NoAvahi> {
        in_time(async {
            let connection = Connection::system().await?;
            let reply = connection.call_method(Some(AVAHI), "/", Some(SERVER), "EntryGroupNew", &()).await?;
            let group: OwnedObjectPath = reply.body().deserialize()?;
            let avahi = Self { connection, group, protocol: protocol(listening) };
            let names = (announcement.instance(), service_type(), "", "");
            let body = (
                EVERYWHERE,
                avahi.protocol,
                0u32,
                &names.0,
                names.1,
                names.2,
                names.3,
                listening.port(),
                texts(announcement),
            );
            avahi.call("AddService", &body).await?;
            avahi.call("Commit", &()).await?;
            Ok(avahi)
        })
        .await
    }

    /// Tells what has changed.
    ///
    /// # Errors
    /// When avahi is gone, or says no.
    pub(crate) async fn update(&self, announcement: &Announcement) -> Result<(), NoAvahi> {
        let body = (
            EVERYWHERE,
            self.protocol,
            0u32,
            announcement.instance(),
            service_type(),
            "",
            texts(announcement),
        );
        in_time(self.call("UpdateServiceTxt", &body)).await
    }

    async fn call<B>(&self, method: &str, body: &B) -> Result<(), zbus::Error>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType,
    {
        self.connection.call_method(Some(AVAHI), &self.group, Some(GROUP), method, body).await.map(drop)
    }
}

async fn in_time<T>(asked: impl Future<Output = Result<T, zbus::Error>>) -> Result<T, NoAvahi> {
    Ok(tokio::time::timeout(WITHIN, asked).await.map_err(|_| NoAvahi::Silent)??)
}

/// IPv4 alone (`AVAHI_PROTO_INET`) where IPv6 is not listened on, else both (`AVAHI_PROTO_UNSPEC`).
fn protocol(listening: SocketAddr) -> i32 {
    if listening.is_ipv4() { 0 } else { -1 }
}

/// Without the domain, which avahi adds.
fn service_type() -> &'static str {
    SERVICE_TYPE.trim_end_matches(".local.")
}

fn texts(announcement: &Announcement) -> Vec<Vec<u8>> {
    announcement
        .to_properties()
        .into_iter()
        .map(|(key, value)| format!("{key}={value}").into_bytes())
        .collect()
}
