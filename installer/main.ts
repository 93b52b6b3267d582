console.log("main", process.uptime());
