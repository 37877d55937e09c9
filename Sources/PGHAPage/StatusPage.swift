/// The page that the controller shows at `/`, embedded in the executable.
///
/// It is made of files as they are: no build step, nothing from elsewhere, so that it works where the network that has
/// trouble is the one that a library would come from.
package enum StatusPage {
    /// One file of the page.
    package struct Asset: Hashable, Sendable {
        /// Where the controller shows it.
        package let path: String
        package let contentType: String
        package let bytes: [UInt8]
    }

    package static let assets = [
        Asset(path: "/", contentType: "text/html; charset=utf-8", bytes: PackageResources.page_html),
        Asset(path: "/page/page.css", contentType: "text/css; charset=utf-8", bytes: PackageResources.page_css),
        Asset(path: "/page/page.js", contentType: "text/javascript; charset=utf-8", bytes: PackageResources.page_js),
        Asset(path: "/page/view.js", contentType: "text/javascript; charset=utf-8", bytes: PackageResources.view_js),
    ]

    /// What a browser may do for the page: load and ask its own server, and nothing else. Text of servers and operators
    /// that was taken for markup could load and run nothing.
    package static let contentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
