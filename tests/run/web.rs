//! An address on the web that speaks TLS, and who is told there.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::kept::Ground;

/// Answers what is posted, and keeps it. It tells its port when it listens.
const SERVER: &str = r#"
import http.server, os, ssl
class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        with open("posted", "ab") as posted:
            posted.write(self.headers["content-type"].encode() + b" " + body)
        self.send_response(204)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Answer)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("web.pem", "web.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
with open("port.new", "w") as port:
    port.write(str(server.server_port))
os.rename("port.new", "port")
server.serve_forever()
"#;

/// Makes an authority, and the certificate that it gives 127.0.0.1.
const CERTIFICATES: &str = "set -e
new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
openssl req -x509 $new -keyout authority.key -out authority.pem -days 2 -subj /CN=authority
openssl req $new -keyout web.key -out web.csr -subj /CN=127.0.0.1
echo subjectAltName=IP:127.0.0.1 >names
openssl x509 -req -in web.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names -out web.pem";

/// Who answers, until it is dropped.
struct Web {
    server: Child,
    port: String,
}

impl Web {
    fn start(ground: &Ground) -> Self {
        let made = Command::new("sh").args(["-c", CERTIFICATES]).current_dir(ground.path("")).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let mut server = Command::new("python3");
        server.args(["-c", SERVER]).current_dir(ground.path("")).stderr(Stdio::null());
        let mut web = Self { server: server.spawn().unwrap(), port: String::new() };
        let begun = Instant::now();
        while web.port.is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(60), "nobody listens");
            std::thread::sleep(Duration::from_millis(50));
            web.port = fs::read_to_string(ground.path("port")).unwrap_or_default();
        }
        web
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

#[test]
fn a_webhook_is_told_over_tls_and_only_one_whose_certificate_this_machine_trusts() {
    let ground = Ground::new("");
    let web = Web::start(&ground);
    let posted = || fs::read_to_string(ground.path("posted")).unwrap_or_default();
    ground.declare(&format!("}}\non: {{applied: [{{webhook: 'https://127.0.0.1:{}/s3cret', timeout: 9s}}]", web.port));
    let nobody = PathBuf::from("/dev/null");
    let (code, told) = ground.told_with(&["apply", "--auto-approve"], &[("SSL_CERT_FILE", &nobody)]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("could not be told") && !told.contains("s3cret") && posted().is_empty(), "{told}");
    fs::remove_dir_all(ground.path("lisbon/main")).unwrap();
    let authority = ground.path("authority.pem");
    let (code, told) = ground.told_with(&["apply", "--auto-approve"], &[("SSL_CERT_FILE", &authority)]);
    assert_eq!(code, 0, "{told}");
    let posted = posted();
    assert!(posted.starts_with("application/json {") && posted.contains("\"applied\""), "{posted}\n{told}");
    assert!(!told.contains("could not be told"), "{told}");
}
