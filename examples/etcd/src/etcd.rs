//! [`Etcd`]: what of etcd is needed, by its HTTP gateway.

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::clock;
use crate::lease::Grant;

pub const OBSERVERS: &str = "/heartbeat/observers/";
pub const PEERS: &str = "/heartbeat/peers/";
pub const VERDICTS: &str = "/heartbeat/verdicts/";
/// Which observer doubts itself; the key ends by itself.
const DOUBT: &str = "/heartbeat/doubt";
/// All of the above.
pub const ALL: &str = "/heartbeat/";

/// A key with what etcd knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: String,
    /// The revision at which the key came into being.
    pub created: i64,
    /// The revision of its newest value.
    pub modified: i64,
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Put(Entry),
    Deleted(String),
}

impl Change {
    pub fn key(&self) -> &str {
        match self {
            Self::Put(entry) => &entry.key,
            Self::Deleted(key) => key,
        }
    }
}

/// That a peer is dead, in the opinion of an observer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub peer: String,
    /// Which life of the peer: the revision of its key.
    pub incarnation: i64,
    pub observer: String,
    pub lease: i64,
    /// When the observer's key was created.
    pub revision: i64,
    /// The list of observers that this one knew was that of this revision.
    pub view: i64,
}

/// What became of a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Written,
    /// The observer has lost its lease, or another one came, or the peer has registered anew. It is
    /// no verdict.
    Refused,
}

/// A client; calls block, each for its own patience.
#[derive(Debug)]
pub struct Etcd {
    agent: ureq::Agent,
    endpoints: Vec<String>,
    /// The one that is used; the next one after a failure.
    current: AtomicUsize,
}

impl Etcd {
    pub fn new(endpoints: Vec<String>) -> Result<Self> {
        ensure!(!endpoints.is_empty(), "no endpoints");
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Ok(Self { agent: config.into(), endpoints, current: AtomicUsize::new(0) })
    }

    /// Grants a lease and puts the observer's key under it, unless the key is there already. A
    /// lease that it had before is given back first.
    pub fn join(
        &self,
        observer: &str,
        weight: u32,
        ttl: Duration,
        before: Option<i64>,
        patience: Duration,
    ) -> Result<Grant> {
        if let Some(id) = before {
            self.revoke(id, patience)?;
        }
        let asked = clock::now();
        let granted = self.call("lease/grant", &json!({ "TTL": ttl.as_secs() }), patience)?;
        let id = int(&granted["ID"]);
        let ttl = Duration::from_secs(int(&granted["TTL"]).try_into()?);
        let key = encode(&format!("{OBSERVERS}{observer}"));
        let put = json!({ "key": key, "value": encode(&weight.to_string()), "lease": id });
        let joined = self.call(
            "kv/txn",
            &json!({
                "compare": [{ "key": key, "target": "CREATE", "result": "EQUAL",
                    "create_revision": 0 }],
                "success": [{ "request_put": put }],
            }),
            patience,
        )?;
        if joined["succeeded"] != true {
            self.revoke(id, patience)?;
            bail!("there is an observer {observer} already");
        }
        Ok(Grant { id, revision: int(&joined["header"]["revision"]), ttl, asked })
    }

    /// Whether the lease lives, for another TTL from now at least.
    pub fn keep_alive(&self, lease: i64, patience: Duration) -> Result<bool> {
        let kept = self.call("lease/keepalive", &json!({ "ID": lease }), patience)?;
        Ok(int(&kept["result"]["TTL"]) > 0)
    }

    /// Ends a lease, and with it its keys. It need not be there.
    pub fn revoke(&self, lease: i64, patience: Duration) -> Result<()> {
        match self.call("lease/revoke", &json!({ "ID": lease }), patience) {
            Err(error) if error.to_string().contains("lease not found") => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Ends the lease of an observer that doubts itself, unless another one does at this time: if
    /// two do, neither is to blame. Whether it was ended.
    pub fn leave(
        &self,
        observer: &str,
        lease: i64,
        ttl: Duration,
        patience: Duration,
    ) -> Result<bool> {
        let granted = self.call("lease/grant", &json!({ "TTL": 2 * ttl.as_secs() }), patience)?;
        let doubt = int(&granted["ID"]);
        let put = json!({ "key": encode(DOUBT), "value": encode(observer), "lease": doubt });
        let told = self.call(
            "kv/txn",
            &json!({
                "compare": [{ "key": encode(DOUBT), "target": "CREATE", "result": "EQUAL",
                    "create_revision": 0 }],
                "success": [{ "request_put": put }],
                "failure": [{ "request_range": { "key": encode(DOUBT) } }],
            }),
            patience,
        )?;
        let other = &told["responses"][0]["response_range"]["kvs"][0]["value"];
        let is_alone = told["succeeded"] == true || decode(other)? == observer;
        if is_alone {
            self.revoke(lease, patience)?;
        }
        Ok(is_alone)
    }

    /// Writes a verdict and deletes the peer, if the observer's key is still the one of its lease,
    /// no observer has come that it does not know, and the peer is still the same.
    pub fn condemn(&self, verdict: &Verdict, patience: Duration) -> Result<Outcome> {
        let observer = encode(&format!("{OBSERVERS}{}", verdict.observer));
        let peer = encode(&format!("{PEERS}{}", verdict.peer));
        let value = format!("{} {:x}", verdict.observer, verdict.lease);
        let put = json!({
            "key": encode(&format!("{VERDICTS}{}", verdict.peer)),
            "value": encode(&value),
        });
        let done = self.call(
            "kv/txn",
            &json!({
                "compare": [
                    { "key": observer, "target": "CREATE", "result": "EQUAL",
                        "create_revision": verdict.revision },
                    { "key": encode(OBSERVERS), "range_end": encode(&beyond(OBSERVERS)),
                        "target": "MOD", "result": "LESS", "mod_revision": verdict.view + 1 },
                    { "key": peer, "target": "MOD", "result": "EQUAL",
                        "mod_revision": verdict.incarnation },
                ],
                "success": [
                    { "request_put": put },
                    { "request_delete_range": { "key": peer } },
                ],
            }),
            patience,
        )?;
        Ok(if done["succeeded"] == true { Outcome::Written } else { Outcome::Refused })
    }

    pub fn put(&self, key: &str, value: &str, patience: Duration) -> Result<i64> {
        let put = json!({ "key": encode(key), "value": encode(value) });
        Ok(int(&self.call("kv/put", &put, patience)?["header"]["revision"]))
    }

    /// Many keys at once: 128 at most.
    pub fn put_all(&self, pairs: &[(String, String)], patience: Duration) -> Result<()> {
        let put = |(key, value): &(String, String)| json!({ "request_put": { "key": encode(key), "value": encode(value) } });
        let puts: Vec<Value> = pairs.iter().map(put).collect();
        self.call("kv/txn", &json!({ "success": puts }), patience).map(|_| ())
    }

    pub fn delete(&self, key: &str, patience: Duration) -> Result<()> {
        self.call("kv/deleterange", &json!({ "key": encode(key) }), patience).map(|_| ())
    }

    /// All keys that begin so, and the revision at which they were as they are.
    pub fn list(&self, prefix: &str, patience: Duration) -> Result<(Vec<Entry>, i64)> {
        let range = json!({ "key": encode(prefix), "range_end": encode(&beyond(prefix)) });
        let found = self.call("kv/range", &range, patience)?;
        let entries = found["kvs"].as_array().map_or(&[][..], Vec::as_slice);
        let entries = entries.iter().map(entry).collect::<Result<_>>()?;
        Ok((entries, int(&found["header"]["revision"])))
    }

    /// All changes of keys that begin so, from a revision on, until told to stop or for as long as
    /// `lasts`: whoever asks anew now and then is not left waiting by a connection that is dead.
    pub fn watch(
        &self,
        prefix: &str,
        from: i64,
        lasts: Duration,
        mut told: impl FnMut(Vec<Change>, i64) -> ControlFlow<()>,
    ) -> Result<()> {
        let create = json!({ "create_request": {
            "key": encode(prefix), "range_end": encode(&beyond(prefix)), "start_revision": from,
        } });
        let body = self.send("watch", &create, lasts)?.into_body().into_reader();
        for line in BufReader::new(body).lines() {
            let line = match line {
                Ok(line) => line,
                Err(_) => return Ok(()), // It has lasted so long; or it broke, as the next one will tell.
            };
            let line: Value = serde_json::from_str(&line)?;
            let result = &line["result"];
            ensure!(result["canceled"] != true && line["error"].is_null(), "watch ended: {line}");
            let Some(events) = result["events"].as_array() else { continue };
            let changes = events.iter().map(change).collect::<Result<Vec<_>>>()?;
            // (The one in the header may be ahead of what was told so far.)
            let revision = events.iter().map(|it| int(&it["kv"]["mod_revision"])).max();
            if told(changes, revision.unwrap_or(from)).is_break() {
                return Ok(());
            }
        }
        bail!("the watch was closed")
    }

    fn call(&self, path: &str, body: &Value, patience: Duration) -> Result<Value> {
        let mut response = self.send(path, body, patience)?;
        let text = response.body_mut().read_to_string().inspect_err(|_| self.turn())?;
        let value: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        if !response.status().is_success() || !value["error"].is_null() {
            bail!("{path}: {text}");
        }
        Ok(value)
    }

    fn send(
        &self,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>> {
        let endpoint = &self.endpoints[self.current.load(Ordering::Relaxed) % self.endpoints.len()];
        let request = self.agent.post(format!("{endpoint}/v3/{path}"));
        let request = request.config().timeout_global(Some(patience)).build();
        request
            .send(body.to_string())
            .inspect_err(|_| self.turn())
            .with_context(|| format!("{endpoint}/v3/{path}"))
    }

    /// To the next endpoint.
    fn turn(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }
}

/// The first key after all that begin so.
fn beyond(prefix: &str) -> String {
    let (head, last) = prefix.split_at(prefix.len() - 1);
    format!("{head}{}", char::from(last.as_bytes()[0] + 1))
}

fn encode(text: &str) -> String {
    BASE64_STANDARD.encode(text)
}

fn decode(value: &Value) -> Result<String> {
    let bytes = BASE64_STANDARD.decode(value.as_str().unwrap_or_default())?;
    Ok(String::from_utf8(bytes)?)
}

/// Numbers of 64 bits are strings in this JSON, and zeros are left out.
fn int(value: &Value) -> i64 {
    value.as_str().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

fn entry(value: &Value) -> Result<Entry> {
    Ok(Entry {
        key: decode(&value["key"])?,
        value: decode(&value["value"])?,
        created: int(&value["create_revision"]),
        modified: int(&value["mod_revision"]),
    })
}

fn change(event: &Value) -> Result<Change> {
    Ok(match event["type"].as_str() {
        Some("DELETE") => Change::Deleted(decode(&event["kv"]["key"])?),
        _ => Change::Put(entry(&event["kv"])?),
    })
}
